//! One thread's calls: draws them, makes them, takes their time, and checks their answers.

use super::judge::Judge;
use super::run::Run;
use crate::bench::distribution::{Chooser, Distribution};
use crate::bench::error::{Error, Result};
use crate::bench::measure::Clock;
use crate::bench::subject::Subject;
use crate::bench::trace::Made;
use crate::bench::workload::{Call, Mix, Order, Work};
use crate::dice::{Dice, mix};
use crate::engine::batch::WriteBatch;
use crate::engine::range::Direction;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One thread's calls.
pub(super) struct Caller<'a> {
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
    pub(super) fn new(run: &'a Run<'a>, index: usize, began: Option<Instant>) -> Caller<'a> {
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
    pub(super) fn beside(run: &'a Run<'a>, mix: &'a Mix) -> Caller<'a> {
        let began = run.pace.every.map(|_| Instant::now());
        let index = run.pace.threads;
        let chooser = Chooser::new(Distribution::Uniform, run.keys, run.data.seed());
        Caller { mix: Some(mix), chooser, ..Caller::new(run, index, began) }
    }

    /// Makes the call with a number.
    pub(super) fn make(&mut self, call: u64, clock: &Clock) -> Result<()> {
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
    pub(super) fn draw(&mut self, clock: &Clock) -> Result<()> {
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
