//! A tree without a disk: tables are lists of keys in memory, so that what the picker decides can be
//! tried on millions of writes in seconds, and checked.
//!
//! It flushes, picks, merges and installs as the tree does, with as many jobs side by side as it is
//! told, which end in an order drawn from the seed. Bytes are counted, not written: an entry has a
//! fixed size, and nothing is compressed. The same seed gives the same numbers.

use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::compaction::output::{Base, Cutter};
use crate::engine::lsm::compaction::picker::{Part, Picker};
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
    snapshot: Option<u64>,
    seqno: u64,
    next_number: u64,
    random: u64,
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
            random: seed,
        }
    }

    /// A number below `n`, which is not 0, from the seed (SplitMix64).
    pub fn random(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % n
    }

    /// Writes a key, and whatever follows from that.
    pub fn write(&mut self, key: u64, kind: Kind) {
        self.seqno += 1;
        let entry = Entry { key, seqno: Reverse(self.seqno), kind };
        self.latest.insert(key, entry);
        // A version that a snapshot sees is not simulated in the memtable: it is flushed first.
        if self.memtable.get(&key).is_some_and(|old| self.snapshot >= Some(old.seqno.0)) {
            self.flush();
        }
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

    /// From now on, what is visible now stays so; `None` ends that.
    pub fn hold_snapshot(&mut self, hold: Option<()>) {
        self.snapshot = hold.map(|()| self.seqno);
    }

    /// Starts compactions while some may, and ends one if others wait for a place.
    pub fn work(&mut self) {
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
        let mut found: HashMap<u64, Entry> =
            self.memtable.iter().map(|(key, entry)| (*key, *entry)).collect();
        let mut seen: HashMap<u64, u64> = found.values().map(|entry| (entry.key, entry.seqno.0)).collect();
        for table in self.version.tables() {
            for entry in self.tables[&table.number].iter() {
                // Tables from the newest on: whoever comes first must be the newest.
                if seen.insert(entry.key, entry.seqno.0).is_some_and(|above| above <= entry.seqno.0) {
                    return Err(format!("{entry:?} of table {} stands below an older one", table.number));
                }
                found.entry(entry.key).or_insert(*entry);
            }
        }
        let sets = |entry: Option<&Entry>| entry.filter(|entry| entry.kind == Kind::Set).copied();
        let lost = self.latest.iter().find(|(key, latest)| sets(found.get(key)) != sets(Some(latest)));
        lost.map_or(Ok(()), |(key, latest)| Err(format!("{latest:?}, found {:?}", found.get(key))))
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
        self.snapshot.unwrap_or(MAX_SEQNO)
    }

    /// Claims, and does all but the installing.
    fn start(&mut self, compaction: Compaction) {
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
