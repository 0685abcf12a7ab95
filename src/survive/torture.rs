//! Torture: random histories on a store whose disk fails and whose process dies, held against a model.
//!
//! A [`history`] is drawn from a seed ([`mod@draw`]): an engine, its options, and some hundred commands of the script
//! language, crashes and faults of the disk among them. The [`mod@judge`] does them on a [`site`], a disk in
//! memory, and asks the [`model`] after each what must be there. The first answer that is not right ends
//! it: the history is made as short as it gets ([`mod@shrink`]), and is a script that can be saved and run
//! again.
//!
//! History number `i` of a seed is always the same, and they are counted in order, so that a number of
//! operations gives the same report with any number of threads.

mod compare;
pub mod draw;
pub mod history;
pub mod judge;
pub mod model;
pub mod report;
pub mod shrink;
pub mod site;
pub mod tally;

use crate::engine::kind::EngineKind;
use crate::survive::torture::draw::draw;
use crate::survive::torture::history::History;
use crate::survive::torture::judge::{Difference, judge};
use crate::survive::torture::report::{Finding, Report};
use crate::survive::torture::shrink::shrink;
use crate::survive::torture::site::Open;
use crate::survive::torture::tally::Tally;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Until so many operations are done.
    Operations(u64),
    /// For so long.
    Time(Duration),
}

/// What to do to one engine.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whose stores; not `memory`, which has no disk.
    pub kind: EngineKind,
    /// Where the histories come from.
    pub seed: u64,
    /// How long.
    pub limit: Limit,
    /// Histories at once, each in a thread of its own.
    pub threads: usize,
    /// Attempts to make a history shorter that fails.
    pub tries: u64,
}

/// Attempts that are enough for histories as [`draw()`] makes them.
pub const TRIES: u64 = 3000;

/// Runs histories of one engine until the limit or the first difference. `watch` is told now and then how
/// far it came, and may end it.
pub fn run(plan: &Plan, open: Open<'_>, watch: &mut dyn FnMut(&Tally) -> ControlFlow<()>) -> Report {
    let begun = Instant::now();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut count = Count { plan, begun, report: empty(plan), sets: HashSet::new(), failed: None };
    std::thread::scope(|scope| {
        let (send, results) = sync_channel(64);
        for _ in 0..plan.threads.max(1) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || work(plan, open, next, stop, &send));
        }
        drop(send);
        count.collect(&results, watch);
        stop.store(true, Ordering::Relaxed);
        // A thread may be waiting for room.
        while results.recv().is_ok() {}
    });
    let Count { mut report, failed, sets, .. } = count;
    report.option_sets = sets.len() as u64;
    report.finding = failed.map(|(number, history, first)| find(plan, number, &history, first, open));
    report.seconds = begun.elapsed().as_secs_f64();
    report
}

fn empty(plan: &Plan) -> Report {
    Report {
        engine: plan.kind.to_string(),
        tally: Tally::default(),
        option_sets: 0,
        seconds: 0.0,
        finding: None,
    }
}

type Outcome = (u64, History, Tally, Option<Difference>);

fn work(plan: &Plan, open: Open<'_>, next: &AtomicU64, stop: &AtomicBool, send: &SyncSender<Outcome>) {
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let history = draw(plan.kind, plan.seed, number);
        let (tally, difference) = judge(&history, open);
        if send.send((number, history, tally, difference)).is_err() {
            return;
        }
    }
}

/// Counts histories in the order of their numbers, whichever is done first.
struct Count<'a> {
    plan: &'a Plan,
    begun: Instant,
    report: Report,
    sets: HashSet<String>,
    failed: Option<(u64, History, Difference)>,
}

impl Count<'_> {
    fn collect(&mut self, results: &Receiver<Outcome>, watch: &mut dyn FnMut(&Tally) -> ControlFlow<()>) {
        let (mut early, mut expected) = (BTreeMap::new(), 0);
        for outcome in results {
            early.insert(outcome.0, outcome);
            while let Some((number, history, tally, difference)) = early.remove(&expected) {
                expected += 1;
                self.report.tally.add(&tally);
                self.sets.insert(format!("{:?}", history.settings));
                if let Some(difference) = difference {
                    self.failed = Some((number, history, difference));
                    return;
                }
                if self.is_enough() || watch(&self.report.tally).is_break() {
                    return;
                }
            }
        }
    }

    fn is_enough(&self) -> bool {
        match self.plan.limit {
            Limit::Operations(most) => self.report.tally.operations >= most,
            Limit::Time(most) => self.begun.elapsed() >= most,
        }
    }
}

/// Makes a history short in which this difference was seen.
fn find(plan: &Plan, number: u64, history: &History, first: Difference, open: Open<'_>) -> Finding {
    let short = shrink(history, plan.tries, |history| judge(history, open).1.is_some());
    let (_, difference) = judge(&short, open);
    // With threads in the store, a history may fail once and not again: then it is told as it was.
    let (short, difference) = match difference {
        Some(difference) => (short, difference),
        None => {
            let said = format!("{}; that did not come again", first.said);
            (history.clone(), Difference { said, ..first })
        }
    };
    Finding {
        seed: plan.seed,
        number,
        commands: short.commands.len(),
        script: script(plan, number, &short, &difference),
        difference,
    }
}

/// The history as a file, with what it shows.
fn script(plan: &Plan, number: u64, history: &History, difference: &Difference) -> String {
    let Difference { command, expected, said, .. } = difference;
    let first = command.lines().next().unwrap_or_default();
    let cut = |text: &str| text.chars().take(200).collect::<String>().replace('\n', " ");
    format!(
        "# kvs torture -e {} --seed {}, history {number}\n{history}# {first}\n#   expected: {}\n#   said:     {}\n",
        plan.kind,
        plan.seed,
        cut(expected),
        cut(said)
    )
}
