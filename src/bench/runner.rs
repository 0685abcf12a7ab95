//! Makes the calls of a workload, takes the time of each, and holds every answer against what was written.
//!
//! Threads draw their calls one by one: the key, the value and the check of the answer are not in the time
//! of a call, the clock's own 30 ns or so are. In steps there is one thread, no clock, and a sample after
//! every fiftieth part of the calls.

mod caller;
mod gauge;
mod judge;
pub mod run;

use crate::bench::error::{Error, Result};
use crate::bench::expected::Expected;
use crate::bench::keys::{Data, Shuffle};
use crate::bench::measure::{Clock, Latencies};
use crate::bench::report::Sample;
use crate::bench::runner::caller::Caller;
use crate::bench::runner::gauge::Gauge;
use crate::bench::runner::run::{Pace, Run, certainty};
use crate::bench::subject::Subject;
use crate::bench::workload::{Mix, Work, Workload};
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Samples of a run in steps.
const STEPS: u64 = 50;

/// Told how a run goes; breaks it off.
pub type Watch<'a> = dyn FnMut(&Sample) -> ControlFlow<()> + Send + 'a;

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Calls that were made.
    pub calls: u64,
    /// Pairs that they wrote, read or removed.
    pub pairs: u64,
    /// How long it took.
    pub took: Duration,
    /// Seconds of the processor.
    pub cpu_seconds: f64,
    /// How long calls took.
    pub latencies: Latencies,
    /// The most that the process held.
    pub peak_resident_bytes: Option<u64>,
    /// The run over time.
    pub samples: Vec<Sample>,
}

/// Runs a workload on a store whose keys are `keys` in number, or shall be.
pub fn run(
    subject: &dyn Subject,
    data: &Data,
    expected: &Expected,
    workload: &Workload,
    keys: u64,
    pace: &Pace,
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let count = if workload.makes_a_store() { keys } else { expected.count() };
    let is_traced = matches!(workload.work, Work::Load(_) | Work::Replay(_));
    if is_traced && pace.threads > 1 {
        return Err(Error::plan("a trace is one sequence of calls: it is replayed by one thread"));
    }
    if count == 0 && !is_traced && !matches!(workload.work, Work::Compact | Work::Settle) {
        return Err(Error::plan(format!("{} needs keys: begin with a fill, as fillrandom", workload.name)));
    }
    expected.begin();
    let run = Run {
        subject,
        data,
        expected,
        workload,
        pace,
        certainty: certainty(workload, pace.threads),
        keys: count,
        shuffle: Shuffle::new(count.max(1), data.seed() ^ 0x6f72_6465),
        calls: AtomicU64::new(0),
        pairs: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        failure: Mutex::new(None),
    };
    let clocks: Vec<Clock> = (0..pace.threads + 1).map(|_| Clock::default()).collect();
    let mut gauge = Gauge::new(&run, &clocks);
    let began = Instant::now();
    match pace.every {
        None => in_steps(&run, &mut gauge, watch),
        Some(every) => on_threads(&run, &clocks, every, &mut gauge, watch),
    }
    let took = began.elapsed();
    if let Some(failure) = run.failure.lock().take() {
        return Err(failure);
    }
    gauge.take(took)?;
    Ok(Outcome {
        calls: run.calls.load(Ordering::Relaxed),
        pairs: run.pairs.load(Ordering::Relaxed),
        took,
        cpu_seconds: gauge.spent.cpu_seconds(),
        latencies: gauge.latencies,
        peak_resident_bytes: gauge.peak,
        samples: gauge.samples,
    })
}

fn on_threads(
    run: &Run<'_>,
    clocks: &[Clock],
    every: Duration,
    gauge: &mut Gauge<'_>,
    watch: &mut Watch<'_>,
) {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..run.pace.threads)
            .map(|index| scope.spawn(move || work(run, index, &clocks[index], began)))
            .collect();
        let beside = run.beside().map(|mix| {
            let clock = &clocks[run.pace.threads];
            scope.spawn(move || work_beside(run, mix, clock))
        });
        let tick = every.min(Duration::from_millis(5));
        let mut next = every;
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::sleep(tick);
            if began.elapsed() < next {
                continue;
            }
            next = began.elapsed() + every;
            let sample = gauge.take(began.elapsed());
            match sample.map(&mut *watch) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => run.fail(Error::Interrupted),
                Err(error) => run.fail(error),
            }
        }
        run.is_over.store(true, Ordering::Relaxed);
        drop(beside);
    });
}

fn in_steps(run: &Run<'_>, gauge: &mut Gauge<'_>, watch: &mut Watch<'_>) {
    let (total, clock) = (run.total(), Clock::default());
    let mut caller = Caller::new(run, 0, None);
    let mut other = run.beside().map(|mix| Caller::beside(run, mix));
    for call in 0..total {
        let made = caller.make(call, &clock).and_then(|()| match &mut other {
            Some(other) => other.draw(&clock),
            None => Ok(()),
        });
        let looked = made.and_then(|()| match (call + 1) % total.div_ceil(STEPS) {
            0 => gauge.take(Duration::ZERO).map(&mut *watch),
            _ => Ok(ControlFlow::Continue(())),
        });
        match looked {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return run.fail(Error::Interrupted),
            Err(error) => return run.fail(error),
        }
    }
}

/// After so many calls of its own a thread looks whether its time is over.
const LOOK_EVERY: u64 = 16;

/// What one thread does: each so-many-th call.
fn work(run: &Run<'_>, index: usize, clock: &Clock, began: Instant) {
    let mut caller = Caller::new(run, index, Some(began));
    let (total, threads) = (run.total(), run.pace.threads as u64);
    let (mut call, mut made) = (index as u64, 0u64);
    while call < total && !run.is_over.load(Ordering::Relaxed) {
        if let Err(error) = caller.make(call, clock) {
            return run.fail(error);
        }
        call += threads;
        made += 1;
        let is_late = |limit| made % LOOK_EVERY == 0 && began.elapsed() >= limit;
        if run.pace.limit.is_some_and(is_late) {
            return;
        }
    }
}

fn work_beside(run: &Run<'_>, mix: &Mix, clock: &Clock) {
    let mut caller = Caller::beside(run, mix);
    while !run.is_over.load(Ordering::Relaxed) {
        if let Err(error) = caller.draw(clock) {
            return run.fail(error);
        }
    }
}
