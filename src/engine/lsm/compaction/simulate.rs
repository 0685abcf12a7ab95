//! A tree without a disk: tables are lists of keys in memory, so that what the picker decides can be
//! tried on millions of writes in seconds, and checked.
//!
//! It flushes, picks, merges and installs as the tree does, with as many jobs side by side as it is
//! told, which end in an order drawn from the seed. Bytes are counted, not written: an entry has a
//! fixed size, and nothing is compressed. The same seed gives the same numbers.

#[cfg(test)]
mod tests;

use crate::dice::Dice;
use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::compaction::output::{Base, Cutter};
use crate::engine::lsm::compaction::picker::{Part, Picker};
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{Kind, MAX_SEQNO, internal, trailer};
use crate::engine::lsm::version::edit::TableMeta;
use crate::engine::lsm::version::{TableFile, Version};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The options that decide.
    pub limits: Limits,
    /// A flush writes a table when so many bytes were written.
    pub memtable_bytes: u64,
    /// The size of an entry that sets a key.
    pub entry_bytes: u64,
    /// The size of a tombstone.
    pub tombstone_bytes: u64,
    /// Compactions that run side by side, at least 1.
    pub jobs: usize,
    /// Whether every pause between two flushes counts as rest.
    pub rest: Rest,
}

/// When compactions for space are picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Only when [`Simulation::settle`] is called.
    AtTheEnd,
    /// After each flush too: the worst that can happen to write amplification.
    Always,
}

/// What was written, in bytes, and how often what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the user.
    pub user_bytes: u64,
    /// By flushes.
    pub flushed_bytes: u64,
    /// By compactions.
    pub compacted_bytes: u64,
    /// Compactions that rewrote something.
    pub rewrites: u64,
    /// Compactions that only moved tables.
    pub moves: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: u64,
    seqno: Reverse<u64>,
    kind: Kind,
}

struct Job {
    id: u64,
    compaction: Compaction,
    outputs: Vec<Arc<TableFile>>,
}

/// What a snapshot must go on seeing.
struct Held {
    seqno: u64,
    latest: BTreeMap<u64, Entry>,
}

/// A tree of keys that are numbers, with what it should hold.
pub struct Simulation {
    /// The tables now.
    pub version: Version,
    /// What was done so far.
    pub counts: Counts,
    setting: Setting,
    order: Order,
    busy: Busy,
    jobs: Vec<Job>,
    tables: HashMap<u64, Arc<[Entry]>>,
    memtable: BTreeMap<u64, Entry>,
    memtable_bytes: u64,
    latest: BTreeMap<u64, Entry>,
    snapshot: Option<Held>,
    seqno: u64,
    next_number: u64,
    dice: Dice,
}

impl Simulation {
    /// An empty tree.
    pub fn new(setting: Setting, seed: u64) -> Simulation {
        Simulation {
            version: Version::default(),
            counts: Counts::default(),
            setting,
            order: Order::Bytewise,
            busy: Busy::default(),
            jobs: Vec::new(),
            tables: HashMap::new(),
            memtable: BTreeMap::new(),
            memtable_bytes: 0,
            latest: BTreeMap::new(),
            snapshot: None,
            seqno: 0,
            next_number: 1,
            dice: Dice::new(seed),
        }
    }

    /// A number below `n`, which is not 0, from the seed.
    pub fn random(&mut self, n: u64) -> u64 {
        self.dice.next_number() % n
    }

    /// Writes a key, and whatever follows from that.
    pub fn write(&mut self, key: u64, kind: Kind) {
        self.seqno += 1;
        let entry = Entry { key, seqno: Reverse(self.seqno), kind };
        self.latest.insert(key, entry);
        self.memtable.insert(key, entry);
        self.memtable_bytes += self.len_of(&entry);
        self.counts.user_bytes += self.len_of(&entry);
        if self.memtable_bytes >= self.setting.memtable_bytes {
            self.flush();
            self.work();
        }
    }

    /// Makes a table of level 0 of what was written since the last.
    pub fn flush(&mut self) {
        let entries: Vec<Entry> = std::mem::take(&mut self.memtable).into_values().collect();
        self.memtable_bytes = 0;
        if !entries.is_empty() {
            let table = self.table(0, entries);
            self.counts.flushed_bytes += table.meta.len;
            self.version = self.version.with(&[], &[table], &self.order);
        }
    }

    /// From now on, what is visible now stays so. The memtable, which has one version of a key here, is
    /// flushed for that.
    pub fn take_snapshot(&mut self) {
        self.flush();
        self.snapshot = Some(Held { seqno: self.seqno, latest: self.latest.clone() });
    }

    /// Ends that.
    pub fn release_snapshot(&mut self) {
        self.snapshot = None;
    }

    /// What happens between two flushes: compactions that still ran end, then all that is needed is
    /// done, but for those that run side by side with the last.
    pub fn work(&mut self) {
        while !self.jobs.is_empty() {
            self.finish_one();
        }
        self.start_all(self.setting.rest == Rest::Always);
        while self.jobs.len() >= self.setting.jobs {
            self.finish_one();
            self.start_all(self.setting.rest == Rest::Always);
        }
    }

    /// Starts what can be started.
    pub fn start_all(&mut self, at_rest: bool) {
        while self.jobs.len() < self.setting.jobs {
            let settled = self.settled();
            let picker = self.picker();
            let picked = picker.pick();
            let picked = picked.or_else(|| if at_rest { picker.pick_idle(settled) } else { None });
            match picked {
                Some(compaction) => self.start(compaction),
                None => return,
            }
        }
    }

    /// Flushes, then compacts until nothing is left to do.
    pub fn settle(&mut self) {
        self.flush();
        self.start_all(true);
        while !self.jobs.is_empty() {
            self.finish_one();
            self.start_all(true);
        }
    }

    /// Flushes, then compacts keys from `start` to `end` down to the last level.
    pub fn compact(&mut self, start: Option<u64>, end: Option<u64>) {
        self.flush();
        while !self.jobs.is_empty() {
            self.finish_one();
        }
        let (start, end) = (start.map(u64::to_be_bytes), end.map(u64::to_be_bytes));
        let (start, end) = (start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..]));
        let part = Part { start, end, upto: self.seqno };
        while let Some(compaction) = self.picker().pick_range(&part, self.settled()) {
            self.start(compaction);
            self.finish_one();
        }
    }

    /// Bytes that were written for each byte of the user's. 1 is the least: a log is not counted.
    pub fn write_amplification(&self) -> f64 {
        let written = self.counts.flushed_bytes + self.counts.compacted_bytes;
        written as f64 / self.counts.user_bytes.max(1) as f64
    }

    /// Bytes in tables for each byte of what is visible.
    pub fn space_amplification(&self) -> f64 {
        let sets = self.latest.values().filter(|entry| entry.kind == Kind::Set).count() as u64;
        let all: u64 = self.version.tables().map(|table| table.meta.len).sum();
        all as f64 / (sets * self.setting.entry_bytes).max(1) as f64
    }

    /// Whether the tree is as it must be; else what is wrong. Reads everything.
    pub fn check(&self) -> Result<(), String> {
        if let Some((a, b)) = self.version.crossing(&self.order) {
            return Err(format!("tables {a} and {b} of one level share a key"));
        }
        let mut newest: HashMap<u64, Entry> = HashMap::new();
        let mut held: HashMap<u64, Entry> = HashMap::new();
        let mut above: HashMap<u64, u64> = HashMap::new();
        let tables = self.version.tables().flat_map(|table| self.tables[&table.number].iter());
        // From the newest on: who comes first must be the newest.
        for entry in self.memtable.values().chain(tables) {
            if above.insert(entry.key, entry.seqno.0).is_some_and(|above| above <= entry.seqno.0) {
                return Err(format!("{entry:?} stands below an older one"));
            }
            newest.entry(entry.key).or_insert(*entry);
            if self.snapshot.as_ref().is_some_and(|held| entry.seqno.0 <= held.seqno) {
                held.entry(entry.key).or_insert(*entry);
            }
        }
        same(&self.latest, &newest)?;
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| same(&snapshot.latest, &held))
    }

    /// Compactions that run.
    pub fn running(&self) -> impl Iterator<Item = &Compaction> {
        self.jobs.iter().map(|job| &job.compaction)
    }

    /// Ends one of the compactions that run, drawn from the seed, and installs what it wrote.
    pub fn finish_one(&mut self) {
        let at = self.random(self.jobs.len().max(1) as u64) as usize;
        if at >= self.jobs.len() {
            return;
        }
        let Job { id, compaction, outputs } = self.jobs.swap_remove(at);
        let gone: Vec<u64> = compaction.tables().map(|table| table.number).collect();
        self.version = self.version.with(&gone, &outputs, &self.order);
        let stays = |number| outputs.iter().any(|table| table.number == number);
        for number in gone.into_iter().filter(|&number| !stays(number)) {
            self.tables.remove(&number);
        }
        self.busy.release(id);
    }

    fn picker(&self) -> Picker<'_> {
        Picker { version: &self.version, limits: &self.setting.limits, order: &self.order, busy: &self.busy }
    }

    fn settled(&self) -> u64 {
        self.snapshot.as_ref().map_or(MAX_SEQNO, |held| held.seqno)
    }

    /// Claims, and does all but the installing.
    ///
    /// # Panics
    /// If it leaves out a table of the level it writes that may have keys in common with its inputs.
    fn start(&mut self, compaction: Compaction) {
        if let Some(span) = Span::of_all(&compaction.inputs, &self.order) {
            let level = usize::from(compaction.output_level);
            let met = self.version.overlapping(level, span.smallest, span.largest, &self.order);
            let goes = |table: &Arc<TableFile>| compaction.tables().any(|other| other.number == table.number);
            assert!(met.iter().all(goes), "{compaction:?} leaves out what its inputs meet below");
        }
        let id = self.busy.claim(&compaction, &self.order);
        let outputs = if compaction.is_move { self.moved(&compaction) } else { self.run(&compaction) };
        self.jobs.push(Job { id, compaction, outputs });
    }

    fn moved(&mut self, compaction: &Compaction) -> Vec<Arc<TableFile>> {
        self.counts.moves += 1;
        let lower = |table: &Arc<TableFile>| {
            let meta = TableMeta { level: compaction.output_level, ..table.meta.clone() };
            Arc::new(TableFile::without_file(table.number, meta))
        };
        compaction.inputs.iter().map(lower).collect()
    }

    fn run(&mut self, compaction: &Compaction) -> Vec<Arc<TableFile>> {
        self.counts.rewrites += 1;
        let mut entries: Vec<Entry> =
            compaction.tables().flat_map(|table| self.tables[&table.number].iter().copied()).collect();
        entries.sort();
        let order = self.order.clone();
        let (mut base, limits) = (Base::of(compaction, &order), self.setting.limits);
        let mut cutter = Cutter::of(compaction, &limits, &order);
        let (mut outputs, mut table, mut bytes) = (Vec::new(), Vec::new(), 0);
        for versions in entries.chunk_by(|a, b| a.key == b.key) {
            let key = versions[0].key.to_be_bytes();
            let kept = self.kept(versions, base.is_base_for(&key));
            if kept.is_empty() {
                continue;
            }
            if cutter.cuts_before(&key, bytes) {
                outputs.push(self.table(compaction.output_level, std::mem::take(&mut table)));
                bytes = 0;
            }
            bytes += kept.iter().map(|entry| self.len_of(entry)).sum::<u64>();
            table.extend(kept);
        }
        if !table.is_empty() {
            outputs.push(self.table(compaction.output_level, table));
        }
        self.counts.compacted_bytes += outputs.iter().map(|table| table.meta.len).sum::<u64>();
        outputs
    }

    /// Of the versions of a key, newest first, those that somebody may see.
    fn kept<'a>(&self, versions: &'a [Entry], is_base: bool) -> &'a [Entry] {
        let settled = self.settled();
        let oldest = versions.iter().position(|entry| entry.seqno.0 <= settled);
        match oldest {
            Some(at) if is_base && versions[at].kind == Kind::Remove => &versions[..at],
            Some(at) => &versions[..=at],
            None => versions,
        }
    }

    fn table(&mut self, level: u8, entries: Vec<Entry>) -> Arc<TableFile> {
        let number = self.next_number;
        self.next_number += 1;
        let key = |entry: &Entry| internal(&entry.key.to_be_bytes(), trailer(entry.seqno.0, entry.kind));
        let len: u64 = entries.iter().map(|entry| self.len_of(entry)).sum();
        let seqnos = || entries.iter().map(|entry| entry.seqno.0);
        let meta = TableMeta {
            level,
            len,
            contents: number,
            smallest: entries.first().map(key).unwrap_or_default(),
            largest: entries.last().map(key).unwrap_or_default(),
            first_seqno: seqnos().min().unwrap_or(0),
            last_seqno: seqnos().max().unwrap_or(0),
            entries: entries.len() as u64,
            tombstones: entries.iter().filter(|entry| entry.kind == Kind::Remove).count() as u64,
            older: entries.windows(2).filter(|pair| pair[0].key == pair[1].key).count() as u64,
            raw_bytes: len,
        };
        self.tables.insert(number, entries.into());
        Arc::new(TableFile::without_file(number, meta))
    }

    fn len_of(&self, entry: &Entry) -> u64 {
        match entry.kind {
            Kind::Set => self.setting.entry_bytes,
            Kind::Remove => self.setting.tombstone_bytes,
        }
    }
}

/// Whether what was found is what it should be, where a tombstone is as good as nothing.
fn same(expected: &BTreeMap<u64, Entry>, found: &HashMap<u64, Entry>) -> Result<(), String> {
    let is_set = |entry: &&Entry| entry.kind == Kind::Set;
    for (key, entry) in expected {
        let found = found.get(key);
        if found.filter(is_set) != Some(entry).filter(is_set) {
            return Err(format!("expected {entry:?}, found {found:?}"));
        }
    }
    match found.keys().find(|key| !expected.contains_key(key)) {
        Some(key) => Err(format!("key {key} was never written")),
        None => Ok(()),
    }
}
