//! What must be true of every disk that a crash could have left.

use crate::engine::options::WriteOptions;
use crate::engine::range::KeyRange;
use crate::engine::{KvsEngine, batch::WriteBatch};
use crate::error::Error;
use crate::survive::history::{History, Made, Setting};
use crate::survive::model::{digest, put_pair};
use crate::vfs::Vfs;
use crate::vfs::crash::state::State;
use crate::vfs::memory::recording::Mark;
use crate::vfs::memory::{Record, SimDisk};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Greater than every key of a workload.
const PROBE: &[u8] = &[0xff; 40];

/// One disk in so many is opened for reading first.
const READ_FIRST: u128 = 8;

/// One disk in so many is read in every way.
const READ_EVERY_WAY: u128 = 32;

/// Judges the disks of one history:
///
/// - PREFIX: the store opens, and holds what it held after `k` changes, for some `k` from the last
///   one that had to survive to the last one that was asked for. A batch is one change.
/// - LIVE: it can be written, read and compacted, and the next opening finds the same and the write.
/// - Who opens it for reading finds the same, and changes nothing. (Of one disk in eight.)
/// - A get of each key finds what a scan does, and a scan from the other end too. (Of one disk in thirty-two.)
/// - No temporary file is left once it is open.
/// - A checkpoint or a migration that has returned is a store with what was written before it; one that
///   has not is such a store, or none.
///
/// What a disk is mended to depends on the disk alone, and is kept in [`Known`].
pub struct Oracle<'h> {
    setting: &'h Setting,
    prefixes: &'h [u128],
    made: &'h [Made],
    known: &'h mut Known,
}

/// What is known of disks with a store of one setting: shared between histories that leave the same.
#[derive(Default)]
pub struct Known {
    /// By the hash of the disk, that of what the store on it holds, once all else was found right.
    found: HashMap<u128, u128>,
    /// By the hash of a disk as a recovery leaves it, that of what it found there, once it was found alive: many
    /// crashes are mended to the same.
    live: HashMap<u128, u128>,
}

impl Known {
    /// Every disk that was judged.
    pub fn into_disks(self) -> HashSet<u128> {
        self.found.into_keys().collect()
    }
}

impl<'h> Oracle<'h> {
    /// Judges the disks that a crash of this history could have left.
    pub fn new(history: &'h History, known: &'h mut Known) -> Oracle<'h> {
        let History { setting, prefixes, made, .. } = history;
        Oracle { setting, prefixes, made, known }
    }

    /// Every disk must hold exactly this.
    pub fn exactly(held: &'h [u128; 1], setting: &'h Setting, known: &'h mut Known) -> Oracle<'h> {
        Oracle { setting, prefixes: held, made: &[], known }
    }

    /// Whether all promises are kept on this disk; if not, which is broken and how.
    ///
    /// # Errors
    /// The broken promise, in words.
    pub fn judge(&mut self, state: &State<'_>) -> Result<(), String> {
        let disk = SimDisk::from_image(&state.image, Record::Off);
        self.judge_made(&disk, state)?;
        let hash = state.image.hash();
        if let Some(&found) = self.known.found.get(&hash) {
            return self.check_prefix(found, state.lo(), state.hi());
        }
        let read = if hash.is_multiple_of(READ_FIRST) { self.read(&disk)? } else { None };
        let store = self.setting.open(Arc::new(disk.clone())).map_err(told("open"))?;
        let found = digest(&*store).map_err(told("scan"))?;
        self.check_prefix(found.digest128(), state.lo(), state.hi())?;
        if read.is_some_and(|read| read != found.digest128()) {
            return Err("a reader finds something else than a writer".into());
        }
        self.check_names(&disk)?;
        if hash.is_multiple_of(READ_EVERY_WAY) {
            check_ways(&*store)?;
        }
        let mended = disk.image().hash();
        match self.known.live.get(&mended) {
            None => self.check_live(&disk, store, found.clone())?,
            Some(&other) if other == found.digest128() => {}
            Some(_) => return Err("what was found is not what the next opening finds".into()),
        }
        self.known.live.insert(mended, found.digest128());
        self.known.found.insert(hash, found.digest128());
        Ok(())
    }

    /// What a reader finds, who changes nothing; `None` if there is no store yet.
    fn read(&self, disk: &SimDisk) -> Result<Option<u128>, String> {
        let before = disk.image();
        let found = match self.setting.open_to_read(Arc::new(disk.clone())) {
            Err(Error::NoStore { .. }) => None,
            other => Some(digest(&*other.map_err(told("open to read"))?).map_err(told("read"))?.digest128()),
        };
        match disk.image() == before {
            true => Ok(found),
            false => Err("a reader has changed something".into()),
        }
    }

    fn check_prefix(&self, found: u128, lo: u64, hi: u64) -> Result<(), String> {
        let hi = hi.min(self.prefixes.len() as u64 - 1);
        if self.prefixes[lo as usize..=hi as usize].contains(&found) {
            return Ok(());
        }
        let wanted = match hi - lo {
            0 => format!("the first {lo} changes must be there"),
            _ => format!("the first {lo} changes must be there, and no more than {hi}"),
        };
        let there = match (0..self.prefixes.len()).rev().find(|&k| self.prefixes[k] == found) {
            Some(count) => format!("the store holds what was there after {count}"),
            None => "the store holds what was never there".into(),
        };
        Err(format!("PREFIX: {wanted}; {there}"))
    }

    fn check_names(&self, disk: &SimDisk) -> Result<(), String> {
        let names = disk.list(Path::new(&self.setting.path)).map_err(|e| e.to_string())?;
        match names.iter().find(|entry| entry.name.ends_with(".tmp")) {
            Some(entry) => Err(format!("{} is left over", entry.name)),
            None => Ok(()),
        }
    }

    fn check_live(&self, disk: &SimDisk, store: Arc<dyn KvsEngine>, mut found: Xxh3) -> Result<(), String> {
        let mut batch = WriteBatch::new();
        batch.set(PROBE, b"probe");
        store.write(batch, &WriteOptions::durable()).map_err(told("LIVE: write"))?;
        let value = store.get(PROBE).map_err(told("LIVE: get"))?;
        if value.as_deref() != Some(b"probe") {
            return Err("LIVE: what was written is not read".into());
        }
        store.compact().map_err(told("LIVE: compact"))?;
        drop(store);
        let again = self.setting.open(Arc::new(disk.clone())).map_err(told("LIVE: second open"))?;
        put_pair(&mut found, PROBE, b"probe");
        match digest(&*again).map_err(told("LIVE: second scan"))?.digest128() == found.digest128() {
            true => Ok(()),
            false => Err("LIVE: the second open finds something else than the first".into()),
        }
    }

    /// The other stores: a checkpoint, a migration.
    fn judge_made(&self, disk: &SimDisk, state: &State<'_>) -> Result<(), String> {
        for made in self.made {
            let (note, path) = (made.note(), &made.path);
            let returned = state.marks().any(|mark| matches!(mark, Mark::Note(said) if *said == note));
            let migrated = self.setting.migrated();
            let setting = if made.is_migrated { &migrated } else { self.setting };
            // Opening what is there already makes nothing.
            let store = match setting.open_existing(Arc::new(disk.clone()), Path::new(path)) {
                Err(Error::NoStore { .. } | Error::Unfinished { .. }) if !returned => continue,
                other => other.map_err(told(path))?,
            };
            let found = digest(&*store).map_err(told(path))?.digest128();
            let changes = made.changes;
            self.check_prefix(found, changes, changes).map_err(|e| format!("{path}: {e}"))?;
        }
        Ok(())
    }
}

/// A get of each key finds what a scan does, and so does a scan from the other end.
fn check_ways(store: &dyn KvsEngine) -> Result<(), String> {
    let pairs = |range: KeyRange| {
        store.scan(range).map_err(told("scan"))?.collect::<Result<Vec<_>, _>>().map_err(told("scan"))
    };
    let there = pairs(KeyRange::all())?;
    for (key, value) in &there {
        if store.get(key).map_err(told("get"))?.as_ref() != Some(value) {
            return Err(format!("a get of \"{}\" finds something else than a scan", key.escape_ascii()));
        }
    }
    let mut back = pairs(KeyRange::all().reverse())?;
    back.reverse();
    if there == back { Ok(()) } else { Err("a scan finds something else from the other end".into()) }
}

fn told(what: &str) -> impl Fn(Error) -> String {
    move |error| format!("{what}: {error}")
}
