//! Runs a scenario under many schedules, or again under the one that failed.

use kvs::survive::engine::Engine;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::sync::Arc;
use std::time::Instant;

/// Schedules of each scenario, if nobody says.
const SCHEDULES: usize = 1000;

/// How many orderings between two steps a bug may need, of those that schedules of the second kind look for: PCT's
/// depth. A thread is held up once less.
const DEPTH: usize = 3;

/// How many schedules a scenario gets.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    /// As many as are asked for.
    Usual,
    /// A tenth: each opens a hundred disks that a crash could leave.
    Tenth,
    /// 200 at least: it is small, and something must be found.
    Toy,
}

impl Size {
    fn of(self, asked: usize) -> usize {
        match self {
            Size::Usual => asked,
            Size::Tenth => asked.div_ceil(10),
            Size::Toy => asked.max(200),
        }
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// Runs `scenario` under half of the schedules drawn at random, and half by probabilistic concurrency
/// testing: threads go on by priorities, and a few of those change at random steps.
pub(crate) fn explore(name: &str, size: Size, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    if let Ok(schedule) = std::env::var("KVS_REPLAY") {
        run(ReplayScheduler::new_from_encoded(&schedule), scenario);
        return;
    }
    let (schedules, seed) =
        (size.of(setting("KVS_SCHEDULES", SCHEDULES as u64) as usize), setting("KVS_SEED", 1));
    let begun = Instant::now();
    let half = schedules / 2;
    let ran = run(RandomScheduler::new_from_seed(seed, schedules - half), scenario.clone())
        + if half > 0 { run(PctScheduler::new_from_seed(seed, DEPTH, half), scenario) } else { 0 };
    println!("{name}: {ran} schedules in {:.1} s", begun.elapsed().as_secs_f64());
}

/// The same on each engine.
pub(crate) fn explore_engine(name: &str, engine: Engine, size: Size, scenario: fn(&Engine)) {
    explore(&format!("{} {name}", engine.name()), size, move || scenario(&engine));
}

fn run<S: Scheduler + 'static>(scheduler: S, scenario: Arc<impl Fn() + Send + Sync + 'static>) -> usize {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(5_000_000);
    config.failure_persistence = FailurePersistence::Print;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || scenario())
}
