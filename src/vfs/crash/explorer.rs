//! The disks that are shown at each cut: those that are made by rule, the likeliest first, then random ones.

use crate::vfs::crash::budget::Budget;
use crate::vfs::crash::dice::Dice;
use crate::vfs::crash::model::{Fate, Model, Pending, Step, Tear, size_only, tears};
use crate::vfs::crash::state::{Progress, Report, State, Violation};
use crate::vfs::crash::timeline::Crash;
use crate::vfs::memory::recording::{Mark, Op, Recording};
use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why to stop showing states.
enum Stop {
    /// This cut has used up its budget.
    Cut,
    /// There are violations enough.
    All,
}

/// What is new at a cut.
enum News {
    /// States that a power cut could leave.
    PowerCut,
    /// Only what must be found after a kill.
    Kill,
}

/// Goes through a recording, and shows a judge what a crash at each cut could leave.
pub(super) struct Explorer<'r, J> {
    recording: &'r Recording,
    budget: &'r Budget,
    judge: J,
    model: Model<'r>,
    /// What becomes of each pending operation in the state that is being made.
    fates: Vec<Fate>,
    cut: usize,
    progress: Progress,
    /// So many of the pending operations were pending at an earlier cut, on the same durable disk
    /// and with the same floor: the prefixes of these, and each of them alone, have been shown.
    shown: Option<usize>,
    /// States that this cut may still show.
    room: usize,
    seen: HashSet<(u128, u64)>,
    report: Report,
}

impl<'r, J: FnMut(&State<'_>) -> Result<(), String>> Explorer<'r, J> {
    /// An explorer that has shown nothing yet.
    pub(super) fn new(recording: &'r Recording, budget: &'r Budget, judge: J) -> Explorer<'r, J> {
        Explorer {
            recording,
            budget,
            judge,
            model: Model::new(recording),
            fates: Vec::new(),
            cut: 0,
            progress: Progress::default(),
            shown: None,
            room: 0,
            seen: HashSet::new(),
            report: Report::default(),
        }
    }

    /// Shows what the budget has room for, and reports where the judge objected.
    pub(super) fn run(mut self) -> Report {
        // Either way, it is done.
        let _ = self.walk();
        self.report
    }

    fn walk(&mut self) -> Result<(), Stop> {
        let (recording, from) = (self.recording, self.budget.from);
        if from == 0 {
            self.visit(News::PowerCut)?;
        }
        for (index, op) in recording.ops().iter().enumerate().take(self.budget.until) {
            self.cut = index + 1;
            if let Some(news) = self.step(index, op)
                && self.cut >= from
            {
                self.visit(news)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, index: usize, op: &'r Op) -> Option<News> {
        match op {
            Op::Mark(Mark::Note(_)) => return None,
            // Until the next operation the disk is what it was, and what must be found is too.
            Op::Mark(Mark::Issue(n)) => {
                self.progress.issued = self.progress.issued.max(*n);
                return None;
            }
            Op::Mark(Mark::Handed(n)) => {
                self.progress.handed = self.progress.handed.max(*n);
                return Some(News::Kill);
            }
            Op::Mark(Mark::Ack(n)) => {
                self.progress.acked = self.progress.acked.max(*n);
                self.shown = None;
                return Some(News::PowerCut);
            }
            _ => {}
        }
        match self.model.step(index, op) {
            Step::Same => return Some(News::Kill),
            Step::Grew => {}
            Step::Settled => self.shown = None,
        }
        Some(News::PowerCut)
    }

    /// Shows what a crash at this cut could leave.
    fn visit(&mut self, news: News) -> Result<(), Stop> {
        self.report.cuts += 1;
        let random = self.budget.random_per_cut;
        self.room = self.budget.max_per_cut.saturating_sub(random).max(1);
        self.fates = vec![Fate::Kept; self.model.pending().len()];
        match self.killed(&news) {
            Err(Stop::Cut) => self.report.truncated += 1,
            other => other?,
        }
        if matches!(news, News::Kill) {
            return Ok(());
        }
        self.room = random;
        match self.random() {
            Err(Stop::Cut) | Ok(()) => Ok(()),
            stop => stop,
        }
    }

    fn killed(&mut self, news: &News) -> Result<(), Stop> {
        self.show(Crash::Kill)?;
        self.killed_while_writing()?;
        match news {
            News::Kill => Ok(()),
            News::PowerCut => self.power_cuts(),
        }
    }

    /// A kill in the middle of the last write.
    fn killed_while_writing(&mut self) -> Result<(), Stop> {
        match self.model.pending().last() {
            Some(last) if last.index + 1 == self.cut => self.with_tears(self.fates.len() - 1, Crash::Kill),
            _ => Ok(()),
        }
    }

    /// The states that are made by rule, the likeliest first, and those of the newest operations before those
    /// of the oldest.
    fn power_cuts(&mut self) -> Result<(), Stop> {
        if self.model.has_lost() {
            self.show(Crash::PowerCut)?;
        }
        let pending = self.fates.len();
        let new = self.shown.unwrap_or(0)..pending;
        let prefixes = self.shown.map_or(0, |shown| shown + 1)..pending;
        for kept in prefixes.rev() {
            self.set(|at| if at < kept { Fate::Kept } else { Fate::Lost });
            self.show(Crash::PowerCut)?;
        }
        if pending <= self.budget.exhaustive {
            for subset in 0..1_u64 << pending {
                self.set(|at| if subset >> at & 1 == 1 { Fate::Kept } else { Fate::Lost });
                self.show(Crash::PowerCut)?;
            }
        }
        for only in new.rev() {
            self.set(|at| if at == only { Fate::Kept } else { Fate::Lost });
            self.show(Crash::PowerCut)?;
            self.set(|at| if at < only { Fate::Kept } else { Fate::Lost });
            self.with_tears(only, Crash::PowerCut)?;
        }
        // Only now: at a cut that runs out of its budget before, some are left for the next one.
        self.shown = Some(pending);
        self.by_kind()?;
        self.lengths_only()?;
        self.one_amiss()
    }

    /// Bytes without names, names without bytes, and the bytes of single files.
    fn by_kind(&mut self) -> Result<(), Stop> {
        let mut slots: Vec<Option<usize>> = self.model.pending().iter().map(|op| op.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        if slots.len() < 2 {
            return Ok(());
        }
        for chosen in slots {
            let keep = |yes: bool| if yes { Fate::Kept } else { Fate::Lost };
            self.set_by(|op| keep(op.slot != chosen));
            self.show(Crash::PowerCut)?;
            // A file's bytes alone would have no name, so the names come with them.
            self.set_by(|op| keep(op.slot == chosen || op.slot.is_none()));
            self.show(Crash::PowerCut)?;
        }
        Ok(())
    }

    /// The lengths without the bytes: of the last write, the last two, ... and of all.
    fn lengths_only(&mut self) -> Result<(), Stop> {
        self.fates.fill(Fate::Kept);
        let mut emptied = 0;
        for at in (0..self.fates.len()).rev() {
            let Some(hole) = size_only(self.model.pending()[at].op) else { continue };
            self.fates[at] = Fate::Torn(hole);
            emptied += 1;
            if emptied <= self.budget.torn_writes {
                self.show(Crash::PowerCut)?;
            }
        }
        self.show(Crash::PowerCut)
    }

    /// All kept but one: lost, or its length alone there, or torn if it is among the last.
    fn one_amiss(&mut self) -> Result<(), Stop> {
        let mut torn = 0;
        for one in (0..self.fates.len()).rev() {
            self.set(|at| if at == one { Fate::Lost } else { Fate::Kept });
            self.show(Crash::PowerCut)?;
            let Some(hole) = size_only(self.model.pending()[one].op) else { continue };
            self.fates[one] = Fate::Torn(hole);
            self.show(Crash::PowerCut)?;
            if torn < self.budget.torn_writes {
                torn += 1;
                self.with_tears(one, Crash::PowerCut)?;
            }
        }
        Ok(())
    }

    /// The state that is set, with one write torn in every way.
    fn with_tears(&mut self, at: usize, crash: Crash) -> Result<(), Stop> {
        for tear in tears(self.model.pending()[at].op, self.budget.tears_per_write) {
            // Who is killed leaves a shorter file, never a gap.
            if crash == Crash::PowerCut || matches!(tear, Tear::Cut(_)) {
                self.fates[at] = Fate::Torn(tear);
                self.show(crash)?;
            }
        }
        Ok(())
    }

    /// Random states, by turns of both kinds.
    fn random(&mut self) -> Result<(), Stop> {
        if self.fates.is_empty() {
            return Ok(());
        }
        let mut dice = Dice::new(self.budget.seed ^ (self.cut as u64) << 32, self.budget.tears_per_write);
        for turn in 0..self.budget.random_per_cut {
            let pending = self.model.pending();
            match turn % 2 {
                0 => dice.operations(pending, &mut self.fates),
                _ => dice.prefixes(pending, &mut self.fates),
            }
            self.show(Crash::PowerCut)?;
        }
        Ok(())
    }

    fn set(&mut self, fate: impl Fn(usize) -> Fate) {
        self.fates.iter_mut().enumerate().for_each(|(at, slot)| *slot = fate(at));
    }

    fn set_by(&mut self, fate: impl Fn(&Pending<'_>) -> Fate) {
        self.fates.iter_mut().zip(self.model.pending()).for_each(|(slot, op)| *slot = fate(op));
    }

    /// Shows the state that is set to the judge, unless it has seen it.
    fn show(&mut self, crash: Crash) -> Result<(), Stop> {
        if self.room == 0 {
            return Err(Stop::Cut);
        }
        self.room -= 1;
        self.report.states += 1;
        let image = match crash {
            Crash::Kill => self.model.image_after_kill(&self.fates),
            Crash::PowerCut => self.model.image(&self.fates),
        };
        if !self.seen.insert((image.hash(), self.progress.floor(crash))) {
            return Ok(());
        }
        self.report.distinct += 1;
        let state = State {
            image,
            cut: self.cut,
            crash,
            progress: self.progress,
            recording: self.recording,
            pending: self.model.pending(),
            fates: &self.fates,
        };
        let judge = &mut self.judge;
        let verdict = catch_unwind(AssertUnwindSafe(|| judge(&state)));
        if let Err(message) = verdict.unwrap_or_else(|panic| Err(words(&*panic))) {
            let (description, timeline) = (state.describe(), state.timeline());
            let State { cut, image, .. } = state;
            self.report.violations.push(Violation { description, cut, message, image, timeline });
            if self.report.violations.len() >= self.budget.max_violations {
                return Err(Stop::All);
            }
        }
        Ok(())
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("?"))
}
