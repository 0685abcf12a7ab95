//! An LSM tree as it is looked at: what its manifest says, and what its logs hold.
//!
//! Every write in a log is newer than all that is in tables: a get asks the memtables first. So what
//! the logs hold of a key says whether a record of a log is live, and which entries of tables are hidden.

use crate::engine::batch::Op;
use crate::engine::filename::{self, MANIFEST};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind, user_key};
use crate::engine::lsm::table::format::Salt;
use crate::engine::lsm::version::edit::{LiveFile, StoreMeta, TableMeta, WalMeta, WalState};
use crate::engine::lsm::wal;
use crate::engine::manifest::{self, Files};
use crate::error::{Error, Result};
use crate::inspect::state::State;
use crate::inspect::sweep::{Input, Sort, Sweep};
use crate::inspect::table::cursor::Place;
use crate::inspect::text::count;
use crate::record::reader::{End, LogReader};
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// A tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// The manifest as it was read.
    pub(super) manifest: manifest::Read<LiveFile>,
    /// What it lists.
    pub(super) listing: Listing,
    /// The order of the keys.
    pub(super) order: Order,
    /// Of each key in the logs, the newest write.
    pub(super) writes: HashMap<Box<[u8]>, u64>,
    /// The newest log's end.
    pub(super) end: LogEnd,
    /// The highest sequence number.
    pub(super) last_seqno: u64,
}

/// The files of a manifest, by sort.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) store: StoreMeta,
    pub(super) tables: BTreeMap<u64, TableMeta>,
    pub(super) wals: BTreeMap<u64, WalMeta>,
}

/// How the newest log ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogEnd {
    pub(super) how: End,
    pub(super) is_closed: bool,
    pub(super) at: u64,
}

impl Listing {
    /// Sorts the live files; says in words what can not be.
    pub(super) fn of(files: &Files<LiveFile>) -> std::result::Result<Listing, String> {
        let (mut tables, mut wals, mut found) = (BTreeMap::new(), BTreeMap::new(), None);
        for (&number, file) in &files.live {
            match file {
                LiveFile::Store(meta) if number == 0 => found = Some(meta.clone()),
                LiveFile::Wal(meta) if number > 0 => _ = wals.insert(number, meta.clone()),
                LiveFile::Table(meta) if number > 0 => _ = tables.insert(number, meta.clone()),
                _ => return Err(format!("what an edit says of file {number} can not be")),
            }
        }
        let store = found.ok_or("nothing about the store itself")?;
        Ok(Listing { store, tables, wals })
    }

    /// A table, as an input of a sweep.
    pub(super) fn input(&self, store_id: u64, number: u64) -> Input {
        let first = self.tables.get(&number).map(|meta| meta.smallest.clone());
        Input { number, sort: Sort::Table(Salt::new(store_id, number)), first }
    }
}

impl Tree {
    /// Reads manifest and logs, and changes nothing. Costs memory for each key that is in a log.
    pub(super) fn read(dir: &Dir, store_id: u64) -> Result<Tree> {
        let manifest = manifest::read::<LiveFile>(dir, store_id)?;
        let damaged = |reason: String| Error::corruption(&dir.join(MANIFEST), 0, reason);
        let listing = Listing::of(&manifest.files).map_err(damaged)?;
        let order = listing.store.comparator.parse()?;
        let present = dir.list()?.unwrap_or_default();
        for name in listing.tables.keys().map(|number| filename::table(*number)) {
            if !present.iter().any(|entry| entry.name == name) {
                let reason = "the manifest names this file, but it is missing";
                return Err(Error::corruption(&dir.join(&name), 0, reason));
            }
        }
        let last_seqno = listing.tables.values().map(|table| table.last_seqno).max().unwrap_or(0);
        let end = LogEnd { how: End::Clean, is_closed: false, at: 0 };
        let last_seqno = last_seqno.max(listing.store.last_seqno);
        let mut tree = Tree { manifest, listing, order, writes: HashMap::new(), end, last_seqno };
        for (number, meta) in tree.listing.wals.clone() {
            tree.replay(dir, store_id, number, &meta)?;
        }
        Ok(tree)
    }

    fn replay(&mut self, dir: &Dir, store_id: u64, number: u64, meta: &WalMeta) -> Result<()> {
        let file = dir.open(&filename::wal(number), Cause::Inspect)?;
        let len = match meta.state {
            WalState::Sealed { len, .. } => len,
            WalState::Active { .. } => file.len(),
        };
        let mut reader = LogReader::open(&file, len, wal::header(store_id, number))?;
        let writes = &mut self.writes;
        let last = wal::replay(&mut reader, &file, meta.first_seqno, |seqno, op| {
            let (Op::Set(key, _) | Op::Remove(key)) = op;
            writes.insert(key.into(), seqno);
        })?;
        self.last_seqno = self.last_seqno.max(last);
        match meta.state {
            WalState::Sealed { .. } => reader.damage().map_or(Ok(()), Err),
            WalState::Active { durable } => {
                let how = reader.end(durable)?;
                self.end = LogEnd { how, is_closed: reader.is_closed(), at: reader.position() };
                Ok(())
            }
        }
    }

    /// What the store makes of a table.
    pub(super) fn role(&self, number: u64) -> String {
        let Some(meta) = self.listing.tables.get(&number) else {
            return "left over: no edit of the manifest names it, so nothing in it is live".into();
        };
        let above = count(self.above(number, meta).len() as u64, "table");
        format!("level {}; above it, {above} with keys of its range", meta.level)
    }

    /// The tables that a get may ask before this one: those of the levels above, and in level 0 the newer
    /// ones, as far as their keys cross its own.
    pub(super) fn above(&self, number: u64, meta: &TableMeta) -> Vec<u64> {
        let (smallest, largest) = (user_key(&meta.smallest), user_key(&meta.largest));
        let is_above = |(other, found): &(&u64, &TableMeta)| {
            let is_newer = match (found.level, meta.level) {
                (0, 0) => (found.last_seqno, **other) > (meta.last_seqno, number),
                (found, level) => found < level,
            };
            is_newer
                && self.order.compare(user_key(&found.smallest), largest) != Ordering::Greater
                && self.order.compare(smallest, user_key(&found.largest)) != Ordering::Greater
        };
        self.listing.tables.iter().filter(is_above).map(|(number, _)| *number).collect()
    }

    /// What each entry of a table is to the store, in the order of the file. Reads the table, and those
    /// that hide some of it, once; all is dead in one that no edit names.
    pub(super) fn states(&self, dir: &Dir, store_id: u64, number: u64) -> States {
        let meta = self.listing.tables.get(&number);
        let above = meta.map(|meta| self.above(number, meta)).unwrap_or_default();
        let inputs = [number].into_iter().chain(above).map(|number| self.listing.input(store_id, number));
        let mut sweep = Sweep::new(dir, &self.order, inputs.collect());
        let (mut states, mut last) = (Vec::new(), None::<Vec<u8>>);
        while let Some(input) = sweep.advance() {
            let (key, trailer) = key::split(sweep.key());
            let is_hidden = last.as_deref() == Some(key) || self.writes.contains_key(key);
            if last.as_deref() != Some(key) {
                last = Some(key.to_vec());
            }
            let is_tombstone = Kind::of(trailer) == Some(Kind::Remove);
            if input == 0 {
                let state = match (meta.is_none() || is_hidden, is_tombstone) {
                    (true, _) => State::Dead,
                    (false, true) => State::Tombstone,
                    (false, false) => State::Live,
                };
                states.push((sweep.place(), state));
            }
        }
        if sweep.lost.iter().any(|loss| loss.input > 0) {
            // What can not be read may hide anything.
            return States::unknown();
        }
        // In the order of the file, which is that of the keys unless it is damaged.
        states.sort_unstable_by_key(|(place, _)| *place);
        States(Some(states))
    }

    /// What a write in log `number` is to the store.
    pub(super) fn state_in_log(&self, number: u64, key: &[u8], seqno: u64, is_tombstone: bool) -> State {
        let is_newest = self.writes.get(key) == Some(&seqno);
        match (self.listing.wals.contains_key(&number) && is_newest, is_tombstone) {
            (true, true) => State::Tombstone,
            (true, false) => State::Live,
            (false, _) => State::Dead,
        }
    }
}

/// What each entry of a table is to the store.
#[derive(Debug)]
pub(super) struct States(Option<Vec<(Place, State)>>);

impl States {
    /// Where the store can not be read.
    pub(super) fn unknown() -> States {
        States(None)
    }

    /// That of the entry at a place.
    pub(super) fn of(&self, block: u64, at: usize) -> State {
        let Some(states) = &self.0 else { return State::Unknown };
        let found = states.binary_search_by_key(&Place { block, at }, |(place, _)| *place);
        found.map_or(State::Unknown, |found| states[found].1)
    }
}
