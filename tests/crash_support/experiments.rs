//! All experiments, each run once a process, whichever test asks for it.

use crate::crash_support::history::{Step, Workload, set};
use crate::crash_support::lives::{recoveries, second_lives};
use crate::crash_support::oracle::{Known, Oracle};
use crate::crash_support::workloads;
use crate::fault_support::engine::{self, Engine};
use kvs::engine::kind::EngineKind;
use kvs::engine::options::Durability::{Always, Os};
use kvs::vfs::crash::state::Report;
use kvs::vfs::crash::{Budget, explore};
use std::collections::HashSet;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// How much is tried: enough for each change, or (`KVS_CRASH_BUDGET=long`) for a night; or (`few`) for
/// the museum of bugs, which asks often.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Few,
    Short,
    Long,
}

impl Scale {
    pub(crate) fn chosen() -> Scale {
        match std::env::var("KVS_CRASH_BUDGET").as_deref() {
            Ok("long") => Scale::Long,
            Ok("few") => Scale::Few,
            Ok(other) => panic!("KVS_CRASH_BUDGET={other}: few, long, or nothing"),
            Err(_) => Scale::Short,
        }
    }

    /// So many different disks must be judged of each engine.
    pub(crate) fn least(self) -> usize {
        match self {
            Scale::Few => 1_000,
            Scale::Short => 100_000,
            Scale::Long => 1_000_000,
        }
    }

    fn of<T>(self, short: T, long: T) -> T {
        match self {
            Scale::Few | Scale::Short => short,
            Scale::Long => long,
        }
    }
}

/// What is done to one workload.
enum Way {
    /// One crash.
    Crash,
    /// A kill, these steps in a second process, and a crash.
    SecondLife(Vec<Step>),
    /// A crash, and another one while it is mended.
    Recovery,
}

/// One experiment, and what came of it.
struct Experiment {
    name: String,
    workload: Workload,
    way: Way,
    outcome: OnceLock<Outcome>,
}

pub(crate) struct Outcome {
    pub(crate) report: Report,
    /// The disks that were judged.
    pub(crate) disks: HashSet<u128>,
    pub(crate) took: Duration,
}

static EXPERIMENTS: LazyLock<Vec<Experiment>> = LazyLock::new(|| {
    let all = engine::all().into_iter().flat_map(|engine| ways(&engine));
    all.map(|(workload, way)| Experiment::new(workload, way)).collect()
});

/// What is done to one engine.
fn ways(engine: &Engine) -> Vec<(Workload, Way)> {
    let scale = Scale::chosen();
    let long = LongSeeds::of(engine.kind);
    let fixed = workloads::fixed(engine);
    let random = |seed| workloads::random(engine, seed);
    let mut all: Vec<_> = fixed.iter().map(|workload| (workload.clone(), Way::Crash)).collect();
    all.extend((0..scale.of(seeds(engine.kind), long.crash)).map(|seed| (random(seed), Way::Crash)));
    for steps in second_steps() {
        let lived = fixed.iter().filter(|workload| workload.name != "reserving");
        all.extend(lived.map(|workload| (workload.clone(), Way::SecondLife(steps.clone()))));
        let seeds = 100..scale.of(100, 100 + long.second_life);
        all.extend(seeds.map(|seed| (random(seed), Way::SecondLife(steps.clone()))));
    }
    all.extend(fixed.iter().map(|workload| (workload.clone(), Way::Recovery)));
    all.extend((200..scale.of(201, 200 + long.recovery)).map(|seed| (random(seed), Way::Recovery)));
    all
}

/// Random workloads in the short run: an LSM tree syncs more often, so that each has fewer disks.
pub(crate) fn seeds(kind: EngineKind) -> u64 {
    if kind == EngineKind::Lsm { 24 } else { 8 }
}

/// Random workloads in the long run, by what is done to them. Enough of each engine for about as many
/// disks.
struct LongSeeds {
    crash: u64,
    second_life: u64,
    recovery: u64,
}

impl LongSeeds {
    fn of(kind: EngineKind) -> LongSeeds {
        match kind {
            EngineKind::Lsm => LongSeeds { crash: 500, second_life: 60, recovery: 60 },
            _ => LongSeeds { crash: 60, second_life: 6, recovery: 10 },
        }
    }
}

/// What a second process does: one durable write, or several of both kinds and a close, or nothing.
fn second_steps() -> [Vec<Step>; 3] {
    [
        vec![set("x", 5, Always)],
        vec![set("x", 5, Os), set("y", 900, Always), Step::Compact, set("z", 5, Os)],
        Vec::new(),
    ]
}

impl Experiment {
    fn new(workload: Workload, way: Way) -> Experiment {
        let name = match &way {
            Way::Crash => workload.name.clone(),
            Way::SecondLife(steps) => format!("{}, second life of {} steps", workload.name, steps.len()),
            Way::Recovery => format!("{}, recovery", workload.name),
        };
        Experiment { name, workload, way, outcome: OnceLock::new() }
    }

    fn outcome(&self) -> &Outcome {
        self.outcome.get_or_init(|| {
            let start = Instant::now();
            let (report, known) = self.run(Scale::chosen());
            let disks = known.into_disks();
            let took = start.elapsed();
            let rate = report.distinct as f64 / took.as_secs_f64();
            let engine = self.workload.setting.engine.name();
            println!(
                "{engine}, {}: {} different disks, {rate:.0} states a second: {report}",
                self.name,
                disks.len()
            );
            Outcome { report, disks, took }
        })
    }

    fn run(&self, scale: Scale) -> (Report, Known) {
        let history = self.workload.record();
        // Space that was reserved makes each state a megabyte.
        let is_slow = self.workload.name == "reserving" || self.workload.name == "singles, durable";
        match &self.way {
            Way::Crash if scale == Scale::Few => {
                let mut known = Known::default();
                let mut oracle = Oracle::new(&history, &mut known);
                let budget = Budget { random_per_cut: 2, exhaustive: 3, ..small() };
                let report = explore(&history.recording, &budget, |state| oracle.judge(state));
                (report, known)
            }
            Way::Crash => {
                let random_per_cut = if is_slow { 8 } else { scale.of(32, 200) };
                let budget = Budget { random_per_cut, ..Budget::default() };
                let mut known = Known::default();
                let mut oracle = Oracle::new(&history, &mut known);
                let report = explore(&history.recording, &budget, |state| oracle.judge(state));
                (report, known)
            }
            Way::SecondLife(steps) => {
                let budget = Budget { random_per_cut: scale.of(2, 16), ..small() };
                let is_lsm = self.workload.setting.engine.kind == EngineKind::Lsm;
                let every = if scale == Scale::Few {
                    24
                } else if steps.len() > 1 {
                    scale.of(if is_lsm { 2 } else { 4 }, 1)
                } else {
                    1
                };
                second_lives(&history, steps, every, &budget, |_, _| ())
            }
            Way::Recovery => {
                let budget = Budget { random_per_cut: scale.of(4, 16), ..small() };
                recoveries(
                    &history,
                    if scale == Scale::Few {
                        256
                    } else if is_slow {
                        64
                    } else {
                        scale.of(16, 8)
                    },
                    &budget,
                )
            }
        }
    }
}

/// For experiments that explore many recordings.
fn small() -> Budget {
    Budget { exhaustive: 4, torn_writes: 1, tears_per_write: 4, ..Budget::default() }
}

/// Runs all experiments with a workload of this name, and finds no promise broken.
pub(crate) fn is_sound(engine: &Engine, workload: &str) {
    let mut ran = 0;
    for experiment in of(engine).filter(|experiment| experiment.workload.name == workload) {
        let report = &experiment.outcome().report;
        assert!(report.violations.is_empty(), "{}: {report}", experiment.name);
        ran += 1;
    }
    assert!(ran > 0, "no experiment has the workload {workload}");
}

/// Runs all experiments that are left, and returns what came of each, by its name.
pub(crate) fn run_all(engine: &Engine) -> Vec<(&'static str, &'static Outcome)> {
    // From the end: the tests of single workloads, beside this one, begin at the other end.
    of(engine).rev().map(|experiment| (&experiment.name[..], experiment.outcome())).collect()
}

fn of(engine: &Engine) -> impl DoubleEndedIterator<Item = &'static Experiment> {
    let kind = engine.kind;
    EXPERIMENTS.iter().filter(move |experiment| experiment.workload.setting.engine.kind == kind)
}
