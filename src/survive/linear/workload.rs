//! Several threads on one store of a real engine, each call with its times and its answer, all judged.
//!
//! A store lives for some rounds. In a round every client makes some thousand calls, beside flushes and
//! compactions; between rounds nothing runs, and what was told is judged. In the middle of its life the store
//! is closed and opened again, and must go on where it was. Stores are by turns on a simulated disk and on
//! the real one, under options that are drawn, with background work on threads as users have it.
//!
//! Two kinds of keys. *Registers* are set, swapped, removed and read one by one, and judged by
//! [`Register`]. *Groups* belong to one client each, which writes all keys of its group with one batch and
//! numbers its batches: scans, snapshots and cursors over all groups are judged by [`Writers`].

mod client;
pub mod report;

use crate::dice::{Dice, mix};
use crate::engine::KvsEngine;
use crate::engine::kind::EngineKind;
use crate::engine::options::OpenOptions;
use crate::engine::range::KeyRange;
use crate::error::Result;
use crate::survive::caught::caught;
use crate::survive::linear::cuts::Writers;
use crate::survive::linear::workload::client::{Client, Log, REGISTERS, register};
use crate::survive::linear::workload::report::{Anomaly, Report};
use crate::survive::linear::{MOST_THREADS, Register, Timed};
use crate::survive::script::Settings;
use crate::survive::torture::Limit;
use crate::survive::torture::history::settings;
use crate::vfs::Vfs;
use crate::vfs::memory::image::Image;
use crate::vfs::memory::{Record, SimDisk};
use crate::vfs::os::OsDisk;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rounds in the life of a store.
const ROUNDS: u64 = 6;

/// Calls of each client in a round.
const CALLS: u64 = 2_000;

/// Calls of a key that are told with an anomaly, up to the one at which it showed.
const TOLD: usize = 16;

/// What to do to one engine.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Whose stores.
    pub kind: EngineKind,
    /// Where calls and options come from. When they happen is up to the machine.
    pub seed: u64,
    /// How long.
    pub limit: Limit,
    /// Threads that call at once.
    pub clients: usize,
    /// A directory in which stores can be made and thrown away.
    pub scratch: &'a Path,
}

/// The most clients that a plan may have.
pub const MOST_CLIENTS: usize = MOST_THREADS - 1;

/// Opens a store: the engine's own way, or one with a bug that a test has planted.
pub type Open<'a> = &'a dyn Fn(&Path, OpenOptions, &Settings) -> Result<Arc<dyn KvsEngine>>;

/// Runs stores of one engine until the limit or the first anomaly. `watch` is told after each round how far
/// it came, and may end it.
pub fn run(
    plan: &Plan<'_>,
    open: Open<'_>,
    watch: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<Report> {
    let begun = Instant::now();
    let clients = plan.clients.clamp(1, MOST_CLIENTS);
    let mut report = Report { engine: plan.kind.to_string(), clients, ..Report::default() };
    let mut sets = HashSet::new();
    for number in 0.. {
        let mut dice = Dice::new(mix(mix(plan.seed) ^ (number + 1)));
        let settings = settings(plan.kind, &mut dice);
        sets.insert(format!("{settings:?}"));
        let mut life = Life::new(plan, number, settings, clients, open)?;
        for round in 0..ROUNDS {
            if round == ROUNDS / 2 {
                report.anomaly = life.come_back();
                report.reopens += 1;
            }
            if report.anomaly.is_none() {
                report.anomaly = life.round(&mut report, dice.next_number());
            }
            report.seconds = begun.elapsed().as_secs_f64();
            report.option_sets = sets.len() as u64;
            let is_enough = match plan.limit {
                Limit::Operations(most) => report.operations >= most,
                Limit::Time(most) => begun.elapsed() >= most,
            };
            if report.anomaly.is_some() || is_enough || watch(&report).is_break() {
                return Ok(report);
            }
        }
        report.stores += 1;
        life.end()?;
    }
    Ok(report)
}

/// One store, and what is known of it.
struct Life<'a> {
    number: u64,
    settings: Settings,
    open: Open<'a>,
    disk: Arc<dyn Vfs>,
    path: PathBuf,
    is_real: bool,
    /// None only while it is opened again.
    store: Option<Arc<dyn KvsEngine>>,
    registers: Vec<Register>,
    clients: Vec<Client>,
    clock: AtomicU64,
}

impl<'a> Life<'a> {
    fn new(
        plan: &Plan<'_>,
        number: u64,
        settings: Settings,
        clients: usize,
        open: Open<'a>,
    ) -> Result<Life<'a>> {
        let is_real = number % 2 == 1;
        let (disk, path): (Arc<dyn Vfs>, _) = match is_real {
            true => (Arc::new(OsDisk), plan.scratch.join(format!("{}{number}", plan.kind))),
            false => {
                let disk = SimDisk::from_image(&Image::default(), Record::Off);
                (Arc::new(disk), PathBuf::from("/store"))
            }
        };
        let clients: Vec<_> = (0..clients).map(|thread| Client::new(thread, clients, is_real)).collect();
        let mut life = Life {
            number,
            settings,
            open,
            disk,
            path,
            is_real,
            store: None,
            registers: vec![Register::new(0); REGISTERS + clients.len()],
            clients,
            clock: AtomicU64::new(1),
        };
        life.reopen()?;
        Ok(life)
    }

    fn reopen(&mut self) -> Result<()> {
        self.store = None;
        let options = OpenOptions { disk: self.disk.clone(), ..OpenOptions::default() };
        self.store = Some((self.open)(&self.path, options, &self.settings)?);
        Ok(())
    }

    /// Closes it, and opens it again; says what is wrong, if it can not be opened.
    fn come_back(&mut self) -> Option<Anomaly> {
        let said = match caught(|| self.reopen()) {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => format!("error: {error}"),
            Err(panic) => panic,
        };
        Some(self.anomaly(format!("it can not be opened again: {said}"), Vec::new()))
    }

    /// Closes it, and takes a real one away.
    fn end(&mut self) -> Result<()> {
        self.store = None;
        if self.is_real {
            for file in
                self.disk.list(&self.path).map_err(|e| crate::error::Error::io("list", &self.path, e))?
            {
                let path = self.path.join(&file.name);
                self.disk.remove(&path).map_err(|e| crate::error::Error::io("remove", &path, e))?;
            }
        }
        Ok(())
    }

    /// One round, and its judgement.
    fn round(&mut self, report: &mut Report, seed: u64) -> Option<Anomaly> {
        let store = self.store.clone()?;
        let before: Vec<u64> = self.clients.iter().map(|client| client.version).collect();
        let (clock, is_over) = (&self.clock, &AtomicBool::new(false));
        let clients = &mut self.clients;
        let (logs, compactions) = std::thread::scope(|scope| {
            let upkeep = scope.spawn(|| keep_up(&*store, seed, is_over));
            let running: Vec<_> = clients
                .iter_mut()
                .map(|client| scope.spawn(|| client.round(&*store, clock, seed, CALLS)))
                .collect();
            let logs: Vec<_> = running.into_iter().map(|client| client.join()).collect();
            is_over.store(true, Ordering::Release);
            (logs, upkeep.join())
        });
        let mut all = Vec::new();
        for log in logs {
            match log {
                Ok(Ok(log)) => all.push(log),
                Ok(Err(what)) => return Some(self.anomaly(what, Vec::new())),
                Err(_) => return Some(self.anomaly("a client panicked".into(), Vec::new())),
            }
        }
        match compactions {
            Ok(Ok(count)) => report.compactions += count,
            Ok(Err(error)) => return Some(self.anomaly(format!("error: {error}"), Vec::new())),
            Err(_) => return Some(self.anomaly("a compaction panicked".into(), Vec::new())),
        }
        all.iter().for_each(|log| count(report, log));
        report.rounds += 1;
        self.judge(before, &all)
    }

    fn judge(&mut self, before: Vec<u64>, logs: &[Log]) -> Option<Anomaly> {
        let mut keys: Vec<Vec<Timed>> = vec![Vec::new(); self.registers.len()];
        for log in logs {
            log.calls.iter().for_each(|(key, timed)| keys[*key].push(*timed));
        }
        for (key, calls) in keys.iter_mut().enumerate() {
            if let Err(wrong) = self.registers[key].check(calls) {
                calls.sort_by_key(|timed| timed.end);
                let until = calls.iter().position(|timed| *timed == wrong).map_or(calls.len(), |at| at + 1);
                let told = calls[until.saturating_sub(TOLD)..until].iter();
                let name = if key < REGISTERS {
                    String::from_utf8_lossy(&register(key)).into()
                } else {
                    format!("group {}", key - REGISTERS)
                };
                let what = format!("{name}: no order of the calls explains the last answer");
                return Some(self.anomaly(what, told.map(|timed| format!("{timed:?}")).collect()));
            }
        }
        let writers = Writers { before, batches: logs.iter().map(|log| log.batches.clone()).collect() };
        let cuts: Vec<_> = logs.iter().flat_map(|log| &log.cuts).cloned().collect();
        writers.check(&cuts).err().map(|what| self.anomaly(what, Vec::new()))
    }

    fn anomaly(&self, what: String, calls: Vec<String>) -> Anomaly {
        let options: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Anomaly { store: self.number, options: options.join(" "), what, calls }
    }
}

fn count(report: &mut Report, log: &Log) {
    report.operations += log.operations;
    report.gets += log.gets;
    report.writes += log.writes;
    report.batches += log.batches.len() as u64;
    report.cuts += log.cuts.len() as u64;
}

/// Flushes and compacts until the clients are done; says how often.
fn keep_up(store: &dyn KvsEngine, seed: u64, is_over: &AtomicBool) -> Result<u64> {
    let mut dice = Dice::new(mix(seed));
    let mut count = 0;
    while !is_over.load(Ordering::Acquire) {
        match dice.below(8) {
            0..3 => store.flush()?,
            3 => store.compact()?,
            4 => store.settle()?,
            5 => store.sync()?,
            _ => {
                let from = dice.below(REGISTERS as u64) as usize;
                store.compact_range(&KeyRange::of(register(from)..register(from + 8)))?;
            }
        }
        count += 1;
        std::thread::sleep(Duration::from_micros(dice.below(3000)));
    }
    Ok(count)
}
