//! The explorer as a tool: every disk that a crash could leave of a workload, opened and judged.
//!
//! ```text
//!   workload ── recorded on the simulated disk ──> history
//!       one crash          at every operation: all that the disk could then hold
//!       a second life      killed at every operation; a second process goes on; then a crash
//!       a recovery         what a crash has left is mended; the mending crashes, and is mended
//! ```
//!
//! An [`Experiment`] is a workload and one of these three ways. Its recording is cut into parts, which
//! threads explore side by side; what comes of a part does not depend on the others, so the same seed finds
//! the same, with any number of threads. What is judged, says [`crate::survive::oracle`].

pub mod forget;
pub mod report;
pub mod script;
pub mod shrink;
pub mod sweep;

use crate::engine::kind::EngineKind;
use crate::engine::options::Durability::{Always, Os};
use crate::survive::crash::forget::Forget;
use crate::survive::engine::Engine;
use crate::survive::error::{Error, Result};
use crate::survive::history::{History, Workload};
use crate::survive::lives::{SecondLife, add, kills, recoveries, second_lives};
use crate::survive::oracle::{Known, Oracle};
use crate::survive::step::{Step, set};
use crate::survive::workloads;
use crate::vfs::crash::budget::Budget;
use crate::vfs::crash::explore;
use crate::vfs::crash::state::{Report, Violation};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use xxhash_rust::xxh3::xxh3_64;

/// Operations of a recording that one part has.
const CUTS_OF_A_PART: usize = 48;

/// Moments of a kill that one part has.
const KILLS_OF_A_PART: usize = 24;

/// Moments of a kill that one workload has about, where the effort is short.
const KILLS_WHEN_SHORT: usize = 30;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Enough for each change of the code: a minute or two an engine.
    Short,
    /// Ten times as much and more.
    Long,
}

impl Effort {
    fn of<T>(self, short: T, long: T) -> T {
        match self {
            Effort::Short => short,
            Effort::Long => long,
        }
    }

    /// Random workloads of an engine, by what is done to them: so many that each engine has about as
    /// many disks (an LSM tree syncs more often, and so has fewer in each workload).
    pub fn seeds(self, kind: EngineKind) -> Seeds {
        match (self, kind) {
            (Effort::Short, EngineKind::Lsm) => Seeds { crash: 16, second_life: 0, recovery: 1 },
            (Effort::Short, _) => Seeds { crash: 6, second_life: 0, recovery: 1 },
            (Effort::Long, EngineKind::Lsm) => Seeds { crash: 500, second_life: 60, recovery: 60 },
            (Effort::Long, _) => Seeds { crash: 100, second_life: 10, recovery: 16 },
        }
    }
}

/// How many random workloads there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// For one crash.
    pub crash: u64,
    /// For second lives.
    pub second_life: u64,
    /// For recoveries that crash.
    pub recovery: u64,
}

/// What is done to one workload.
#[derive(Clone, Debug)]
pub enum Way {
    /// One crash.
    Crash,
    /// A kill, these steps in a second process, and a crash.
    SecondLife(Vec<Step>),
    /// A crash, and another one while it is mended.
    Recovery,
}

impl Way {
    /// Every way, with what second processes usually do: one durable write, or several of both kinds and
    /// a compaction, or nothing.
    pub fn all() -> Vec<Way> {
        let lives = [
            vec![set("x", 5, Always)],
            vec![set("x", 5, Os), set("y", 900, Always), Step::Compact, set("z", 5, Os)],
            Vec::new(),
        ];
        let lives = lives.into_iter().map(Way::SecondLife);
        [Way::Crash].into_iter().chain(lives).chain([Way::Recovery]).collect()
    }

    /// In few words.
    pub fn words(&self) -> String {
        match self {
            Way::Crash => "one crash".into(),
            Way::SecondLife(steps) => format!("second life of {} steps", steps.len()),
            Way::Recovery => "recovery that crashes".into(),
        }
    }
}

/// One experiment: a workload, and what is done to it.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What is recorded.
    pub workload: Workload,
    /// What is done to the recording.
    pub way: Way,
    /// How much is tried.
    pub effort: Effort,
    /// From which the random disks are drawn.
    pub seed: u64,
}

/// What came of an experiment, or of a part of one.
#[derive(Debug, Default)]
pub struct Outcome {
    /// States and judgements, and where a promise was broken.
    pub report: Report,
    /// The disks that were judged.
    pub disks: HashSet<u128>,
    /// Operations that were left out on purpose.
    pub left_out: usize,
}

impl Outcome {
    /// Sums up; of the violations only the first are kept.
    pub fn add(&mut self, part: Outcome) {
        add(&mut self.report, part.report);
        self.disks.extend(part.disks);
        self.left_out = self.left_out.max(part.left_out);
    }
}

/// All experiments of an engine: each fixed workload in all three ways, and random ones.
pub fn experiments(engine: &Engine, effort: Effort, seed: u64) -> Vec<Experiment> {
    let fixed = workloads::fixed(engine);
    let seeds = effort.seeds(engine.kind);
    let random = |from: u64, count: u64| {
        (from..from + count).map(|n| workloads::random(engine, seed.wrapping_sub(1).wrapping_add(n)))
    };
    let mut all = Vec::new();
    for way in Way::all() {
        let (from, count) = match &way {
            Way::Crash => (0, seeds.crash),
            Way::SecondLife(_) => (100, seeds.second_life),
            Way::Recovery => (200, seeds.recovery),
        };
        let workloads = fixed.iter().cloned().chain(random(from, count));
        all.extend(workloads.map(|workload| Experiment { workload, way: way.clone(), effort, seed }));
    }
    all
}

impl Experiment {
    /// The workload, and the way if it is not the plain one.
    pub fn name(&self) -> String {
        match &self.way {
            Way::Crash => self.workload.name.clone(),
            way => format!("{}, {}", self.workload.name, way.words()),
        }
    }

    /// Runs it, in this thread.
    ///
    /// # Errors
    /// What recording the workload can fail with.
    pub fn run(&self, forget: Option<&Forget>) -> Result<Outcome> {
        let history = self.workload.record()?;
        let mut outcome = Outcome::default();
        for part in self.parts(&history) {
            outcome.add(self.run_part(&history, part, forget));
            if outcome.report.violations.len() >= self.budget().max_violations {
                break;
            }
        }
        Ok(outcome)
    }

    /// The parts of a recording that are explored for themselves: operations, or moments of a kill.
    fn parts(&self, history: &History) -> Vec<Range<usize>> {
        let (all, each) = match &self.way {
            Way::Crash | Way::Recovery => (history.recording.ops().len() + 1, CUTS_OF_A_PART),
            Way::SecondLife(_) => (kills(history).len(), KILLS_OF_A_PART),
        };
        (0..all).step_by(each).map(|from| from..(from + each).min(all)).collect()
    }

    fn run_part(&self, history: &History, part: Range<usize>, forget: Option<&Forget>) -> Outcome {
        let budget = self.budget();
        let within = Budget { from: part.start, until: part.end - 1, ..budget.clone() };
        let mut left_out = 0;
        let mut without = |history: &mut History| {
            left_out += forget.map_or(0, |forget| forget.leave_out(history));
        };
        let (report, known) = match &self.way {
            Way::Crash => {
                let mut history = history.clone();
                without(&mut history);
                let mut known = Known::default();
                let mut oracle = Oracle::new(&history, &mut known);
                let report = explore(&history.recording, &within, |state| oracle.judge(state));
                (report, known)
            }
            Way::SecondLife(steps) => {
                // Of a long workload a part; and as all begin alike, each passes over other moments.
                let every = self.effort.of((kills(history).len() / KILLS_WHEN_SHORT).max(1), 1);
                let skipped = xxh3_64(self.workload.name.as_bytes()) as usize % every;
                let second = SecondLife { steps, every, skipped, kills: part };
                second_lives(history, &second, &budget, |history, _| without(history))
            }
            Way::Recovery => recoveries(history, self.effort.of(16, 8), &within, |history| without(history)),
        };
        Outcome { report, disks: known.into_disks(), left_out }
    }

    fn budget(&self) -> Budget {
        let usual = Budget { seed: self.seed, ..Budget::default() };
        let small = Budget { exhaustive: 4, torn_writes: 1, tears_per_write: 4, ..usual.clone() };
        match &self.way {
            Way::Crash => Budget { random_per_cut: self.effort.of(32, 200), ..usual },
            Way::SecondLife(_) => Budget { random_per_cut: self.effort.of(2, 16), ..small },
            Way::Recovery => Budget { random_per_cut: self.effort.of(4, 16), ..small },
        }
    }
}

/// What is told while experiments run.
pub trait Watch: Sync {
    /// A part of an experiment is done; whether to go on.
    fn see(&self, experiment: &Experiment, so_far: &Outcome) -> bool;
}

/// Experiments whose recordings are in memory at a time.
const AT_A_TIME: usize = 64;

/// What a run of experiments has.
struct Run<'a> {
    experiments: &'a [Experiment],
    forget: Option<&'a Forget>,
    watch: &'a dyn Watch,
    /// The next part that nobody has taken: its experiment, and what of it.
    parts: Vec<(usize, Range<usize>)>,
    histories: Vec<History>,
    next: AtomicUsize,
    is_over: AtomicBool,
    outcomes: Mutex<Vec<Outcome>>,
}

/// Runs experiments on so many threads, and returns what came of each, in their order. Ends early when
/// `watch` says so.
///
/// # Errors
/// What recording a workload can fail with; [`Error::Interrupted`].
pub fn run(
    experiments: &[Experiment],
    forget: Option<&Forget>,
    threads: usize,
    watch: &dyn Watch,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for some in experiments.chunks(AT_A_TIME) {
        outcomes.extend(run_some(some, forget, threads, watch)?);
    }
    Ok(outcomes)
}

fn run_some(
    experiments: &[Experiment],
    forget: Option<&Forget>,
    threads: usize,
    watch: &dyn Watch,
) -> Result<Vec<Outcome>> {
    let histories: Vec<History> =
        experiments.iter().map(|experiment| experiment.workload.record()).collect::<Result<_>>()?;
    let pairs = experiments.iter().zip(&histories).enumerate();
    let parts = pairs.flat_map(|(at, (experiment, history))| {
        experiment.parts(history).into_iter().map(move |part| (at, part))
    });
    let run = Run {
        experiments,
        forget,
        watch,
        parts: parts.collect(),
        histories,
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        outcomes: Mutex::new(experiments.iter().map(|_| Outcome::default()).collect()),
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| run.work());
        }
    });
    if run.is_over.into_inner() {
        return Err(Error::Interrupted);
    }
    let mut outcomes = run.outcomes.into_inner().unwrap_or_else(|poison| poison.into_inner());
    for outcome in &mut outcomes {
        // Parts end in any order.
        outcome.report.violations.sort_by(|a, b| (a.cut, &a.description).cmp(&(b.cut, &b.description)));
    }
    Ok(outcomes)
}

impl Run<'_> {
    fn work(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((at, part)) = self.parts.get(next) else { return };
            let experiment = &self.experiments[*at];
            let outcome = experiment.run_part(&self.histories[*at], part.clone(), self.forget);
            let mut outcomes = self.outcomes.lock().unwrap_or_else(|poison| poison.into_inner());
            outcomes[*at].add(outcome);
            if !self.watch.see(experiment, &outcomes[*at]) {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The first promise that an experiment finds broken.
///
/// # Errors
/// What recording the workload can fail with.
pub fn first_violation(experiment: &Experiment, forget: Option<&Forget>) -> Result<Option<Violation>> {
    let history = experiment.workload.record()?;
    for part in experiment.parts(&history) {
        let outcome = experiment.run_part(&history, part, forget);
        if let Some(violation) = outcome.report.violations.into_iter().next() {
            return Ok(Some(violation));
        }
    }
    Ok(None)
}
