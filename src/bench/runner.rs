//! Makes the calls of a workload, takes the time of each, and holds every answer against what was written.
//!
//! Threads draw their calls one by one: the key, the value and the check of the answer are not in the time
//! of a call, the clock's own 30 ns or so are. In steps there is one thread, no clock, and a sample after
//! every fiftieth part of the calls.

use crate::bench::distribution::{Chooser, Distribution};
use crate::bench::error::{Error, Result};
use crate::bench::expected::{Certainty, Expected};
use crate::bench::keys::{Data, Dice, Shuffle, mix};
use crate::bench::measure::{Clock, Latencies, Recent, Spent, resident_bytes};
use crate::bench::report::{Sample, Shape};
use crate::bench::subject::Subject;
use crate::bench::trace::Made;
use crate::bench::workload::{Call, Mix, Order, Work, Workload};
use crate::engine::batch::WriteBatch;
use crate::engine::range::Direction;
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Samples of a run in steps.
const STEPS: u64 = 50;

/// Told how a run goes; breaks it off.
pub type Watch<'a> = dyn FnMut(&Sample) -> ControlFlow<()> + Send + 'a;

/// How a workload is run.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Calls that are asked for.
    pub calls: u64,
    /// It ends when it has run for so long, if that is before its calls are made.
    pub limit: Option<Duration>,
    /// Threads that make calls.
    pub threads: usize,
    /// A sample is taken whenever this much time has passed; `None`: in steps.
    pub every: Option<Duration>,
}

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

/// What all threads of a run share.
struct Run<'a> {
    subject: &'a dyn Subject,
    data: &'a Data,
    expected: &'a Expected,
    workload: &'a Workload,
    pace: &'a Pace,
    certainty: Certainty,
    /// Keys when it began.
    keys: u64,
    shuffle: Shuffle,
    calls: AtomicU64,
    pairs: AtomicU64,
    /// Somebody is through, wants to end, or failed.
    is_over: AtomicBool,
    failure: Mutex<Option<Error>>,
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

/// How well answers are known.
fn certainty(workload: &Workload, threads: usize) -> Certainty {
    let (mix, beside) = match &workload.work {
        Work::Mixed { mix, beside, .. } => (Some(mix), beside.as_ref()),
        _ => (None, None),
    };
    let removes = |mix: &Mix| mix.part(Call::Delete) > 0.0;
    match threads {
        1 if beside.is_none() => Certainty::Exact,
        _ if mix.is_some_and(removes) || beside.is_some_and(removes) => Certainty::Loose,
        _ => Certainty::AtLeast,
    }
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
            .map(|index| scope.spawn(move || run.work(index, &clocks[index], began)))
            .collect();
        let beside = run.beside().map(|mix| {
            let clock = &clocks[run.pace.threads];
            scope.spawn(move || run.work_beside(mix, clock))
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

impl Run<'_> {
    /// Calls that are to be made.
    fn total(&self) -> u64 {
        self.workload.calls(self.keys, self.pace.calls)
    }

    fn beside(&self) -> Option<&Mix> {
        match &self.workload.work {
            Work::Mixed { beside, .. } => beside.as_ref(),
            _ => None,
        }
    }

    fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// What one thread does: each so-many-th call.
    fn work(&self, index: usize, clock: &Clock, began: Instant) {
        let mut caller = Caller::new(self, index, Some(began));
        let (total, threads) = (self.total(), self.pace.threads as u64);
        let mut call = index as u64;
        while call < total && !self.is_over.load(Ordering::Relaxed) {
            if let Err(error) = caller.make(call, clock) {
                return self.fail(error);
            }
            call += threads;
            let is_late = |limit| call & 0xf == 0 && began.elapsed() >= limit;
            if self.pace.limit.is_some_and(is_late) {
                return;
            }
        }
    }

    fn work_beside(&self, mix: &Mix, clock: &Clock) {
        let mut caller = Caller::beside(self, mix);
        while !self.is_over.load(Ordering::Relaxed) {
            if let Err(error) = caller.draw(clock) {
                return self.fail(error);
            }
        }
    }
}

/// One thread's calls.
struct Caller<'a> {
    run: &'a Run<'a>,
    dice: Dice,
    chooser: Chooser,
    mix: Option<&'a Mix>,
    scan_pairs: u64,
    scan_is_drawn: bool,
    has_clock: bool,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Caller<'a> {
    fn new(run: &'a Run<'a>, index: usize, began: Option<Instant>) -> Caller<'a> {
        let seed = mix(run.data.seed() ^ (index as u64 + 1) << 32 ^ name_seed(&run.workload.name));
        let (mix, distribution, scan_pairs, scan_is_drawn) = match &run.workload.work {
            Work::Mixed { mix, distribution, scan_pairs, scan_is_drawn, .. } => {
                (Some(mix), *distribution, *scan_pairs, *scan_is_drawn)
            }
            _ => (None, Distribution::Uniform, 1, false),
        };
        Caller {
            run,
            dice: Dice::new(seed),
            chooser: Chooser::new(distribution, run.keys, run.data.seed()),
            mix,
            scan_pairs,
            scan_is_drawn,
            has_clock: began.is_some(),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// The one that works beside the others.
    fn beside(run: &'a Run<'a>, mix: &'a Mix) -> Caller<'a> {
        let began = run.pace.every.map(|_| Instant::now());
        let index = run.pace.threads;
        let chooser = Chooser::new(Distribution::Uniform, run.keys, run.data.seed());
        Caller { mix: Some(mix), chooser, ..Caller::new(run, index, began) }
    }

    /// Makes the call with a number.
    fn make(&mut self, call: u64, clock: &Clock) -> Result<()> {
        let place = |order, at| match order {
            Order::Ascending => at,
            Order::Shuffled => self.run.shuffle.at(at),
        };
        match &self.run.workload.work {
            Work::Fill { order, batch: 1 } => self.set(place(*order, call), Call::Insert, clock),
            Work::Fill { order, batch } => {
                let numbers = call * batch..((call + 1) * batch).min(self.run.keys);
                let numbers: Vec<u64> = numbers.map(|at| place(*order, at)).collect();
                self.set_all(&numbers, clock)
            }
            Work::Empty(order) => self.remove(place(*order, call), clock),
            Work::Sweep(direction) => self.sweep(*direction, clock),
            Work::Mixed { .. } => self.draw(clock),
            Work::Compact => self.time(Call::Compact, clock, 0, |subject| subject.compact()),
            Work::Settle => self.time(Call::Compact, clock, 0, |subject| subject.settle()),
            Work::Load(trace) => {
                let (batch, done) = self.run.expected.replay().load(trace, call, self.run.data);
                self.time(done.call, clock, done.pairs, |subject| subject.write(batch, false))
            }
            Work::Replay(trace) => self.replay(&trace.calls[call as usize], clock),
        }
    }

    /// Makes a call that is drawn from the mix.
    fn draw(&mut self, clock: &Clock) -> Result<()> {
        let part = self.dice.part();
        let call = self.mix.map_or(Call::Read, |mix| mix.pick(part));
        let run = self.run;
        if call == Call::Insert {
            let none = "there is no room for one more key: the run was planned for fewer inserts";
            let number = run.expected.next_new().ok_or_else(|| Error::plan(none))?;
            return self.set(number, call, clock);
        }
        let number = self.chooser.choose(&mut self.dice, run.expected.count());
        match call {
            Call::Missing => self.miss(number, clock),
            Call::Update => self.set(number, call, clock),
            Call::ReadModifyWrite => self.modify(number, clock),
            Call::Delete => self.remove(number, clock),
            Call::Scan => self.scan(number, clock),
            _ => self.get(number, clock),
        }
    }

    /// Takes the time of what is done, and counts it.
    fn time<T>(
        &self,
        call: Call,
        clock: &Clock,
        pairs: u64,
        work: impl FnOnce(&dyn Subject) -> Result<T>,
    ) -> Result<T> {
        let began = self.has_clock.then(Instant::now);
        let done = work(self.run.subject)?;
        if let Some(began) = began {
            clock.record(call, began.elapsed());
        }
        self.run.calls.fetch_add(1, Ordering::Relaxed);
        self.run.pairs.fetch_add(pairs, Ordering::Relaxed);
        Ok(done)
    }

    /// Makes a call of a trace. Which kind it is shows when it is done: a get may have found nothing.
    fn replay(&mut self, made: &Made, clock: &Clock) -> Result<()> {
        let (run, has_clock) = (self.run, self.has_clock);
        let mut took = Duration::ZERO;
        let mut time = |work: &mut dyn FnMut() -> Result<()>| {
            let began = has_clock.then(Instant::now);
            let done = work();
            took += began.map_or(Duration::ZERO, |began| began.elapsed());
            done
        };
        let done = run.expected.replay().make(run.subject, made, run.data, &mut time)?;
        if has_clock {
            clock.record(done.call, took);
        }
        run.calls.fetch_add(1, Ordering::Relaxed);
        run.pairs.fetch_add(done.pairs, Ordering::Relaxed);
        Ok(())
    }

    fn set(&mut self, number: u64, call: Call, clock: &Clock) -> Result<()> {
        let run = self.run;
        run.data.key(number, &mut self.key);
        let version = run.expected.set(number, run.data);
        run.data.value(number, version, &mut self.value);
        let mut batch = WriteBatch::with_capacity(self.key.len() + self.value.len() + 16);
        batch.set(&self.key, &self.value);
        self.time(call, clock, 1, |subject| subject.write(batch, run.workload.is_durable))
    }

    fn set_all(&mut self, numbers: &[u64], clock: &Clock) -> Result<()> {
        let run = self.run;
        let mut batch = WriteBatch::with_capacity(numbers.len() * (run.data.pair_bytes() as usize + 16));
        for &number in numbers {
            run.data.key(number, &mut self.key);
            let version = run.expected.set(number, run.data);
            run.data.value(number, version, &mut self.value);
            batch.set(&self.key, &self.value);
        }
        let pairs = numbers.len() as u64;
        self.time(Call::Batch, clock, pairs, |subject| subject.write(batch, run.workload.is_durable))
    }

    fn remove(&mut self, number: u64, clock: &Clock) -> Result<()> {
        let run = self.run;
        run.data.key(number, &mut self.key);
        run.expected.remove(number, run.data);
        let mut batch = WriteBatch::with_capacity(self.key.len() + 16);
        batch.remove(&self.key);
        self.time(Call::Delete, clock, 1, |subject| subject.write(batch, run.workload.is_durable))
    }

    /// Gets a key into `self.value`; says whether it is there.
    fn fetch(&mut self, call: Call, clock: &Clock) -> Result<bool> {
        let (key, mut value) = (std::mem::take(&mut self.key), std::mem::take(&mut self.value));
        value.clear();
        let mut see = |found: &[u8]| value.extend_from_slice(found);
        let found = self.time(call, clock, 1, |subject| subject.get(&key, &mut see));
        (self.key, self.value) = (key, value);
        found
    }

    fn get(&mut self, number: u64, clock: &Clock) -> Result<()> {
        let run = self.run;
        run.data.key(number, &mut self.key);
        let found = self.fetch(Call::Read, clock)?.then_some(&self.value[..]);
        run.expected.check("get", number, run.certainty, run.data, found)
    }

    fn miss(&mut self, number: u64, clock: &Clock) -> Result<()> {
        self.run.data.missing_key(number, &mut self.key);
        match self.fetch(Call::Missing, clock)? {
            false => Ok(()),
            true => {
                let key = String::from_utf8_lossy(&self.key).into_owned();
                Err(Error::Wrong { call: "get", key, reason: "it was never written, and is there".into() })
            }
        }
    }

    fn modify(&mut self, number: u64, clock: &Clock) -> Result<()> {
        let run = self.run;
        run.data.key(number, &mut self.key);
        let began = self.has_clock.then(Instant::now);
        self.value.clear();
        let value = &mut self.value;
        let found = run.subject.get(&self.key, &mut |found| value.extend_from_slice(found))?;
        let looked = began.map(|began| began.elapsed());
        run.expected.check("get", number, run.certainty, run.data, found.then_some(&self.value[..]))?;
        let version = run.expected.set(number, run.data);
        run.data.value(number, version, &mut self.value);
        let mut batch = WriteBatch::with_capacity(self.key.len() + self.value.len() + 16);
        batch.set(&self.key, &self.value);
        let began = self.has_clock.then(Instant::now);
        run.subject.write(batch, run.workload.is_durable)?;
        if let (Some(looked), Some(began)) = (looked, began) {
            clock.record(Call::ReadModifyWrite, looked + began.elapsed());
        }
        run.calls.fetch_add(1, Ordering::Relaxed);
        run.pairs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn scan(&mut self, number: u64, clock: &Clock) -> Result<()> {
        let limit = match self.scan_is_drawn {
            true => 1 + self.dice.below(self.scan_pairs),
            false => self.scan_pairs,
        };
        let run = self.run;
        run.data.key(number, &mut self.key);
        let mut judge = Judge::new(run, number);
        let mut see = |key: &[u8], value: &[u8]| judge.see(key, value);
        let from = std::mem::take(&mut self.key);
        let scanned = self.time(Call::Scan, clock, 0, |subject| {
            subject.scan(Some(&from), Direction::Forward, limit, &mut see)
        });
        self.key = from;
        let count = scanned?;
        run.pairs.fetch_add(count, Ordering::Relaxed);
        judge.end(count < limit)
    }

    fn sweep(&mut self, direction: Direction, clock: &Clock) -> Result<()> {
        let run = self.run;
        let began = self.has_clock.then(Instant::now);
        let mut judge = Judge::new(run, 0);
        judge.direction = direction;
        if direction == Direction::Reverse {
            judge.next = run.expected.count();
        }
        let pairs = &run.pairs;
        let mut see = |key: &[u8], value: &[u8]| {
            judge.see(key, value);
            pairs.fetch_add(1, Ordering::Relaxed);
        };
        run.subject.scan(None, direction, u64::MAX, &mut see)?;
        if let Some(began) = began {
            clock.record(Call::Scan, began.elapsed());
        }
        run.calls.fetch_add(1, Ordering::Relaxed);
        judge.end(true)
    }
}

/// Draws differ between workloads.
fn name_seed(name: &str) -> u64 {
    name.bytes().fold(0, |seed, byte| mix(seed ^ u64::from(byte)))
}

/// Holds the pairs of a scan against what was written.
struct Judge<'a> {
    run: &'a Run<'a>,
    direction: Direction,
    /// Forward: the lowest number that may come. Reverse: the one above the highest that may.
    next: u64,
    verdict: Result<()>,
}

impl<'a> Judge<'a> {
    fn new(run: &'a Run<'a>, from: u64) -> Judge<'a> {
        Judge { run, direction: Direction::Forward, next: from, verdict: Ok(()) }
    }

    fn see(&mut self, key: &[u8], value: &[u8]) {
        if self.verdict.is_ok() {
            self.verdict = self.look(key, value);
        }
    }

    fn wrong(number: impl ToString, reason: String) -> Error {
        Error::Wrong { call: "scan", key: number.to_string(), reason }
    }

    fn look(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let run = self.run;
        let number = run.data.number(key).ok_or_else(|| {
            Judge::wrong(String::from_utf8_lossy(key), "a key that nobody wrote".to_string())
        })?;
        let passed = match self.direction {
            Direction::Forward if number < self.next => None,
            Direction::Reverse if number >= self.next => None,
            Direction::Forward => Some(self.next..number),
            Direction::Reverse => Some(number + 1..self.next),
        };
        let passed = passed.ok_or_else(|| Judge::wrong(number, "the keys do not come in order".into()))?;
        self.check_passed(passed)?;
        self.next = if self.direction == Direction::Forward { number + 1 } else { number };
        run.expected.check("scan", number, run.certainty, run.data, Some(value))
    }

    /// None of the keys that were passed over is there.
    fn check_passed(&self, mut passed: std::ops::Range<u64>) -> Result<()> {
        if self.run.certainty == Certainty::Loose {
            return Ok(());
        }
        // What is inserted meanwhile stands behind.
        let may_be_new = self.run.certainty != Certainty::Exact;
        passed.end = if may_be_new { passed.end.min(self.run.keys) } else { passed.end };
        match passed.into_iter().find(|&number| self.run.expected.of(number).0) {
            None => Ok(()),
            Some(number) => Err(Judge::wrong(number, "it was passed over, and is there".into())),
        }
    }

    /// It ended; if at an end of the store, nothing else is there.
    fn end(self, is_at_the_end: bool) -> Result<()> {
        self.verdict?;
        let left = match self.direction {
            Direction::Forward => self.next..self.run.expected.count(),
            Direction::Reverse => 0..self.next,
        };
        let judge = Judge { verdict: Ok(()), ..self };
        if is_at_the_end { judge.check_passed(left) } else { Ok(()) }
    }
}

/// Looks at a run from outside.
struct Gauge<'a> {
    run: &'a Run<'a>,
    clocks: &'a [Clock],
    latencies: Latencies,
    samples: Vec<Sample>,
    peak: Option<u64>,
    spent: Spent,
    /// The meters at the beginning.
    user: (u64, u64),
    disk: (u64, u64),
}

impl<'a> Gauge<'a> {
    fn new(run: &'a Run<'a>, clocks: &'a [Clock]) -> Gauge<'a> {
        let mut gauge = Gauge {
            run,
            clocks,
            latencies: Latencies::default(),
            samples: Vec::new(),
            peak: None,
            spent: Spent::now(),
            user: (0, 0),
            disk: (0, 0),
        };
        (gauge.user, gauge.disk) = (gauge.user_bytes(), gauge.disk_bytes());
        gauge
    }

    fn user_bytes(&self) -> (u64, u64) {
        self.run.subject.usage().map_or((0, 0), |usage| (usage.bytes_written(), usage.bytes_read()))
    }

    fn disk_bytes(&self) -> (u64, u64) {
        let total = self.run.subject.ledger().map(|ledger| ledger.total);
        total.map_or((0, 0), |total| (total.written_bytes, total.read_bytes + total.mapped_bytes))
    }

    /// A look at a moment.
    fn take(&mut self, now: Duration) -> Result<&Sample> {
        let run = self.run;
        let stats = run.subject.stats()?;
        let (user, disk) = (self.user_bytes(), self.disk_bytes());
        let Recent { p50_us, p99_us, .. } = self.latencies.collect(self.clocks.iter());
        let is_stepped = run.pace.every.is_none();
        if !is_stepped {
            self.peak = self.peak.max(resident_bytes());
        }
        let before = self.samples.last().map_or((0.0, 0), |last| (last.seconds, last.pairs));
        let pairs = run.pairs.load(Ordering::Relaxed);
        let seconds = if is_stepped { 0.0 } else { now.as_secs_f64() };
        let since = seconds - before.0;
        let pairs_per_second = if since > 0.0 { (pairs - before.1) as f64 / since } else { 0.0 };
        let shape = Shape::of(&stats, 0, 0);
        self.samples.push(Sample {
            seconds,
            pairs,
            pairs_per_second,
            p50_us,
            p99_us,
            user_written_bytes: user.0 - self.user.0,
            user_read_bytes: user.1 - self.user.1,
            written_bytes: disk.0 - self.disk.0,
            read_bytes: disk.1 - self.disk.1,
            disk_bytes: stats.disk_bytes,
            live_bytes: stats.live_bytes,
            memory_bytes: stats.memory_bytes,
            levels: shape.levels,
        });
        self.samples.last().ok_or_else(|| Error::plan("no sample was taken"))
    }
}
