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
use std::sync::mpsc::{RecvTimeoutError, channel};
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
    /// How long it took: from the first call of a thread to the end of the last thread's last.
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
    let took = match pace.every {
        None => in_steps(&run, &mut gauge, watch),
        Some(every) => on_threads(&run, &clocks, every, &mut gauge, watch),
    };
    let cpu_seconds = gauge.spent.cpu_seconds();
    if let Some(failure) = run.failure.lock().take() {
        return Err(failure);
    }
    gauge.take(took)?;
    Ok(Outcome {
        calls: run.calls.load(Ordering::Relaxed),
        pairs: run.pairs.load(Ordering::Relaxed),
        took,
        cpu_seconds,
        latencies: gauge.latencies,
        peak_resident_bytes: gauge.peak,
        samples: gauge.samples,
    })
}

/// When a thread made its calls, from the beginning of the run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: Duration,
    to: Duration,
}

impl Span {
    /// The shortest that holds both.
    fn with(self, other: Span) -> Span {
        Span { from: self.from.min(other.from), to: self.to.max(other.to) }
    }
}

/// Says how long the threads took. They tell their own ends: whoever waits for them sees it only when he
/// looks, and a short run is shorter than that.
fn on_threads(
    run: &Run<'_>,
    clocks: &[Clock],
    every: Duration,
    gauge: &mut Gauge<'_>,
    watch: &mut Watch<'_>,
) -> Duration {
    let began = Instant::now();
    let mut whole: Option<Span> = None;
    std::thread::scope(|scope| {
        let (tell, ends) = channel();
        for (index, clock) in clocks.iter().enumerate().take(run.pace.threads) {
            let tell = tell.clone();
            // It fails if nobody waits any more, and then nobody wants to know.
            scope.spawn(move || tell.send(work(run, index, clock, began)).unwrap_or_default());
        }
        // All ends are told, or their threads are gone, when nobody is left who could tell.
        drop(tell);
        if let Some(mix) = run.beside() {
            let clock = &clocks[run.pace.threads];
            scope.spawn(move || work_beside(run, mix, clock));
        }
        let mut next = every;
        loop {
            match ends.recv_timeout(next.saturating_sub(began.elapsed())) {
                Ok(span) => whole = Some(whole.map_or(span, |whole| whole.with(span))),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    look(run, began.elapsed(), gauge, watch);
                    next = began.elapsed() + every;
                }
            }
        }
        run.is_over.store(true, Ordering::Relaxed);
    });
    whole.map_or(Duration::ZERO, |whole| whole.to - whole.from)
}

/// Takes a sample and shows it; what goes wrong with that ends the run.
fn look(run: &Run<'_>, now: Duration, gauge: &mut Gauge<'_>, watch: &mut Watch<'_>) {
    match gauge.take(now).map(watch) {
        Ok(ControlFlow::Continue(())) => {}
        Ok(ControlFlow::Break(())) => run.fail(Error::Interrupted),
        Err(error) => run.fail(error),
    }
}

fn in_steps(run: &Run<'_>, gauge: &mut Gauge<'_>, watch: &mut Watch<'_>) -> Duration {
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
            Ok(ControlFlow::Continue(())) => continue,
            Ok(ControlFlow::Break(())) => run.fail(Error::Interrupted),
            Err(error) => run.fail(error),
        }
        break;
    }
    Duration::ZERO
}

/// After so many calls of its own a thread looks whether its time is over.
const LOOK_EVERY: u64 = 16;

/// What one thread does, and when: each so-many-th call.
fn work(run: &Run<'_>, index: usize, clock: &Clock, began: Instant) -> Span {
    let mut caller = Caller::new(run, index, Some(began));
    let from = began.elapsed();
    make_all(run, index, &mut caller, clock, began);
    Span { from, to: began.elapsed() }
}

fn make_all(run: &Run<'_>, index: usize, caller: &mut Caller<'_>, clock: &Clock, began: Instant) {
    let (total, threads) = (run.total(), run.pace.threads as u64);
    let (mut call, mut made) = (index as u64, 0u64);
    while call < total && !run.is_over.load(Ordering::Relaxed) {
        if let Err(error) = caller.make(call, clock) {
            return run.fail(error);
        }
        call += threads;
        made += 1;
        let is_late = |limit| made % LOOK_EVERY == 0 && began.elapsed() >= limit;
        if run.limit().is_some_and(is_late) {
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

#[cfg(test)]
mod tests {
    use super::Span;
    use std::time::Duration;

    #[test]
    fn a_run_lasts_from_the_first_call_to_the_last() {
        let span = |from, to| Span { from: Duration::from_nanos(from), to: Duration::from_nanos(to) };
        assert_eq!(span(20, 90).with(span(10, 50)), span(10, 90));
        assert_eq!(span(10, 20).with(span(30, 40)), span(10, 40));
    }
}
