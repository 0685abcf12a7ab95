//! All experiments, each run once a process, whichever test asks for it.

use kvs::engine::kind::EngineKind;
use kvs::survive::crash::{Effort, Experiment, Outcome, Way, experiments};
use kvs::survive::engine::Engine;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// Enough for each change, or (`KVS_CRASH_BUDGET=long`) for a night. The museum of bugs, which asks often,
/// asks for `few`: of each workload one crash, and no second life.
pub(crate) fn effort() -> Effort {
    match std::env::var("KVS_CRASH_BUDGET").as_deref() {
        Ok("long") => Effort::Long,
        Ok("few") | Err(_) => Effort::Short,
        Ok(other) => panic!("KVS_CRASH_BUDGET={other}: few, long, or nothing"),
    }
}

/// Whether an experiment is left out.
fn is_left_out(experiment: &Experiment) -> bool {
    let few = std::env::var("KVS_CRASH_BUDGET").is_ok_and(|budget| budget == "few");
    few && !matches!(experiment.way, Way::Crash)
}

/// So many different disks must be judged of each engine.
pub(crate) fn least_disks() -> usize {
    match effort() {
        Effort::Short => 100_000,
        Effort::Long => 2_000_000,
    }
}

/// Random workloads for one crash.
pub(crate) fn seeds(kind: EngineKind) -> u64 {
    effort().seeds(kind).crash
}

/// One experiment, and what came of it.
struct Ran {
    experiment: Experiment,
    outcome: OnceLock<(Outcome, Duration)>,
}

static EXPERIMENTS: LazyLock<Vec<Ran>> = LazyLock::new(|| {
    let all = Engine::all().into_iter().flat_map(|engine| experiments(&engine, effort(), 1));
    let all = all.filter(|experiment| !is_left_out(experiment));
    all.map(|experiment| Ran { experiment, outcome: OnceLock::new() }).collect()
});

impl Ran {
    fn outcome(&self) -> &(Outcome, Duration) {
        self.outcome.get_or_init(|| {
            let start = Instant::now();
            let outcome = self.experiment.run(None).unwrap();
            let took = start.elapsed();
            let rate = outcome.report.states as f64 / took.as_secs_f64();
            let engine = self.experiment.workload.setting.engine.name();
            println!(
                "{engine}, {}: {} different disks, {rate:.0} states a second: {}",
                self.experiment.name(),
                outcome.disks.len(),
                outcome.report
            );
            (outcome, took)
        })
    }
}

/// Runs all experiments with a workload of this name, and finds no promise broken.
pub(crate) fn is_sound(engine: &Engine, workload: &str) {
    let mut ran = 0;
    for one in of(engine).filter(|one| one.experiment.workload.name == workload) {
        let report = &one.outcome().0.report;
        assert!(report.violations.is_empty(), "{}: {report}", one.experiment.name());
        ran += 1;
    }
    assert!(ran > 0, "no experiment has the workload {workload}");
}

/// Runs all experiments that are left, and returns what came of each, by its name.
pub(crate) fn run_all(engine: &Engine) -> Vec<(String, &'static (Outcome, Duration))> {
    // From the end: the tests of single workloads, beside this one, begin at the other end.
    of(engine).rev().map(|one| (one.experiment.name(), one.outcome())).collect()
}

fn of(engine: &Engine) -> impl DoubleEndedIterator<Item = &'static Ran> {
    let kind = engine.kind;
    EXPERIMENTS.iter().filter(move |one| one.experiment.workload.setting.engine.kind == kind)
}
