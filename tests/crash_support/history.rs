//! A history: what was done to a store, step by step, and what the store held after each change.

use crate::fault_support::engine::Engine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::value::Value;
use kvs::engine::{KvsEngine, KvsRead, Pairs, Snapshot};
use kvs::error::Result;
use kvs::vfs::Vfs;
use kvs::vfs::memory::recording::{Mark, Op, Recording};
use kvs::vfs::memory::{Record, SimDisk, image::Image};
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// The store that is made here.
pub(crate) const STORE_ID: u64 = 7;

/// What the store is doing, said in the recording.
pub(crate) const OPENING: &str = "opening";
pub(crate) const RUNNING: &str = "running";
pub(crate) const CLOSING: &str = "closing";
pub(crate) const CHECKPOINTING: &str = "making a checkpoint";

/// One step of a workload. Writes are the changes that are counted: each is there or not.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A batch: sets, and removals (`None`).
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>, Durability),
    /// As durable as the setting says.
    Remove(Vec<u8>),
    /// As durable as the setting says.
    Swap(Vec<u8>, Option<Vec<u8>>),
    /// A load of sorted pairs, which is one change here: an LSM tree's is durable, a Bitcask's is as
    /// durable as the setting says.
    Load(Vec<(Vec<u8>, Vec<u8>)>),
    Sync,
    Flush,
    Compact,
    /// Compacts the keys from the one up to the other.
    CompactRange(&'static str, &'static str),
    /// Takes a snapshot, and keeps it.
    Hold,
    /// Finds in the oldest snapshot what was there, and lets go of it.
    Release,
    /// Closes the store in an orderly way, and opens it again.
    Reopen,
    Checkpoint(&'static str),
}

/// `key` gets a value of `len` bytes, no two alike.
pub(crate) fn set(key: &str, len: usize, durability: Durability) -> Step {
    batch(&[(key, Some(len))], durability)
}

/// Several keys get values of such lengths, or (`None`) are removed.
pub(crate) fn batch(members: &[(&str, Option<usize>)], durability: Durability) -> Step {
    let member = |&(key, len): &(&str, Option<usize>)| (key.into(), len.map(|len| filler(key, len)));
    Step::Write(members.iter().map(member).collect(), durability)
}

/// Ascending keys that get values of such lengths, as a load.
pub(crate) fn load(members: &[(&str, usize)]) -> Step {
    Step::Load(members.iter().map(|&(key, len)| (key.into(), filler(key, len))).collect())
}

/// Text, so that it is never mistaken for zeros or for a record.
fn filler(key: &str, len: usize) -> Vec<u8> {
    key.bytes().chain(*b"=").cycle().take(len).collect()
}

/// Where a store is and how it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) path: &'static str,
    pub(crate) engine: Engine,
    pub(crate) durability: Durability,
    /// Fixed, so that each run has the same bytes.
    pub(crate) store_id: u64,
    pub(crate) schedule: Schedule,
}

impl Setting {
    pub(crate) fn of(engine: &Engine) -> Setting {
        Setting {
            path: "/s",
            engine: engine.clone(),
            durability: Durability::Os,
            store_id: STORE_ID,
            schedule: Schedule::Inline,
        }
    }

    pub(crate) fn open(&self, disk: Arc<dyn Vfs>) -> Result<Arc<dyn KvsEngine>> {
        self.open_as(disk, Path::new(self.path), Access::Create)
    }

    /// A store that is there already, to look at.
    pub(crate) fn open_to_read(&self, disk: Arc<dyn Vfs>) -> Result<Arc<dyn KvsEngine>> {
        self.open_as(disk, Path::new(self.path), Access::Read)
    }

    /// A store that is there already; makes none.
    pub(crate) fn open_existing(&self, disk: Arc<dyn Vfs>, path: &Path) -> Result<Arc<dyn KvsEngine>> {
        self.open_as(disk, path, Access::Write)
    }

    fn open_as(&self, disk: Arc<dyn Vfs>, path: &Path, access: Access) -> Result<Arc<dyn KvsEngine>> {
        let open = OpenOptions {
            disk,
            access,
            durability: self.durability,
            schedule: self.schedule,
            store_id: Some(self.store_id),
            ..OpenOptions::default()
        };
        self.engine.open(path, open)
    }
}

/// What is done to a store, and on which disk.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) setting: Setting,
    pub(crate) begin: Begin,
    pub(crate) steps: Vec<Step>,
}

/// What a workload finds.
#[derive(Clone, Debug)]
pub(crate) enum Begin {
    /// An empty disk: the making of the store is recorded too.
    Nothing,
    /// A store to which this was done, all of it durable, and not recorded.
    Prepared(Vec<Step>),
    /// A disk, as a crash has left it.
    Crashed(Image),
}

impl Workload {
    pub(crate) fn new(name: &str, engine: &Engine, steps: Vec<Step>) -> Workload {
        let (setting, begin) = (Setting::of(engine), Begin::Prepared(Vec::new()));
        Workload { name: name.into(), setting, begin, steps }
    }

    /// Does it, and records it, closing included.
    pub(crate) fn record(&self) -> History {
        let disk = match &self.begin {
            Begin::Crashed(image) => SimDisk::from_image(image, Record::On),
            Begin::Nothing | Begin::Prepared(_) => SimDisk::new(),
        };
        let mut life = Life::begin(&self.setting, disk, Model::default()).unwrap();
        if let Begin::Prepared(steps) = &self.begin {
            life.play(steps).unwrap();
            life.forget_the_past();
        }
        life.model = Model::of(life.store());
        life.play(&self.steps).unwrap();
        life.end(&self.name)
    }
}

/// A store that is open on a recording disk, and what it must hold.
pub(crate) struct Life {
    setting: Setting,
    disk: SimDisk,
    /// None only while it is opened again.
    store: Option<Arc<dyn KvsEngine>>,
    pub(crate) model: Model,
    checkpoints: Vec<(&'static str, u64)>,
    /// Snapshots, and what each must hold.
    held: Vec<(Snapshot, u128)>,
}

impl Life {
    pub(crate) fn begin(setting: &Setting, disk: SimDisk, model: Model) -> Result<Life> {
        disk.mark(Mark::Note(OPENING.into()));
        let store = setting.open(Arc::new(disk.clone()))?;
        disk.mark(Mark::Note(RUNNING.into()));
        Ok(Life {
            setting: setting.clone(),
            disk,
            store: Some(store),
            model,
            checkpoints: Vec::new(),
            held: Vec::new(),
        })
    }

    pub(crate) fn store(&self) -> &dyn KvsEngine {
        &**self.store.as_ref().unwrap()
    }

    /// From now on it is recorded; what was before is durable, and change number 0.
    fn forget_the_past(&mut self) {
        self.disk.record(Record::On);
        self.checkpoints.clear();
    }

    pub(crate) fn play(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Write(members, durability) => {
                let mut batch = WriteBatch::new();
                for (key, value) in members {
                    match value {
                        Some(value) => batch.set(key, value),
                        None => batch.remove(key),
                    }
                }
                let options = WriteOptions { durability: Some(*durability) };
                self.change(members, *durability, |store| store.write(batch, &options))
            }
            Step::Remove(key) => {
                let was_there = self.model.map.contains_key(key);
                self.change(&[(key.clone(), None)], self.setting.durability, |store| {
                    assert_eq!(store.remove(key)?, was_there);
                    Ok(())
                })
            }
            Step::Swap(key, value) => {
                let old = self.model.map.get(key).cloned();
                self.change(&[(key.clone(), value.clone())], self.setting.durability, |store| {
                    let found = store.swap(key, value.as_deref())?;
                    assert_eq!(found.as_deref(), old.as_deref());
                    Ok(())
                })
            }
            Step::Load(pairs) if pairs.is_empty() => {
                self.store().load_sorted(&mut List(pairs.iter())).map(|count| assert_eq!(count, 0))
            }
            Step::Load(pairs) => {
                let members: Vec<_> =
                    pairs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
                let durability = match self.setting.engine.kind {
                    EngineKind::Lsm => Durability::Always,
                    EngineKind::Bitcask | EngineKind::Memory => self.setting.durability,
                };
                self.change(&members, durability, |store| {
                    assert_eq!(store.load_sorted(&mut List(pairs.iter()))?, pairs.len() as u64);
                    Ok(())
                })
            }
            Step::Sync => {
                self.store().sync()?;
                self.disk.mark(Mark::Ack(self.model.count()));
                Ok(())
            }
            Step::Flush => {
                self.store().flush()?;
                self.disk.mark(Mark::Ack(self.model.count()));
                Ok(())
            }
            Step::Compact => self.store().compact(),
            Step::CompactRange(from, to) => self.store().compact_range(&KeyRange::of::<&str>(*from..*to)),
            Step::Hold => {
                self.held.push((self.store().snapshot()?, hash_of(&self.model.map)));
                Ok(())
            }
            Step::Release => {
                let (snapshot, held) = self.held.remove(0);
                assert_eq!(hash_of(&contents(&snapshot)?), held, "a snapshot has changed");
                Ok(())
            }
            Step::Reopen => self.reopen(),
            Step::Checkpoint(dest) => {
                self.checkpoints.push((dest, self.model.count()));
                self.disk.mark(Mark::Note(CHECKPOINTING.into()));
                self.store().checkpoint(Path::new(dest))?;
                self.disk.mark(Mark::Note(RUNNING.into()));
                self.disk.mark(Mark::Note(format!("checkpoint {dest}")));
                Ok(())
            }
        }
    }

    /// One change, between its marks.
    fn change(
        &mut self,
        members: &[(Vec<u8>, Option<Vec<u8>>)],
        durability: Durability,
        write: impl FnOnce(&dyn KvsEngine) -> Result<()>,
    ) -> Result<()> {
        let number = self.model.apply(members);
        self.disk.mark(Mark::Issue(number));
        write(self.store())?;
        self.disk.mark(match durability {
            Durability::Os => Mark::Handed(number),
            // Inline there is no thread that could sync later, so an interval is no time at all.
            Durability::Always | Durability::Interval(_) => Mark::Ack(number),
        });
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        // The old one holds the lock until it is gone.
        self.disk.mark(Mark::Note(CLOSING.into()));
        self.store = None;
        self.disk.mark(Mark::Note(OPENING.into()));
        self.store = Some(self.setting.open(Arc::new(self.disk.clone()))?);
        self.disk.mark(Mark::Note(RUNNING.into()));
        Ok(())
    }

    /// Closes the store.
    pub(crate) fn end(self, name: &str) -> History {
        let Life { setting, disk, store, model, checkpoints, .. } = self;
        disk.mark(Mark::Note(CLOSING.into()));
        drop(store);
        History {
            name: name.into(),
            setting,
            recording: disk.recording(),
            prefixes: model.prefixes,
            checkpoints,
        }
    }
}

/// Pairs to load.
struct List<'a>(std::slice::Iter<'a, (Vec<u8>, Vec<u8>)>);

impl Pairs for List<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.0.next().map(|(key, value)| (&key[..], &value[..])))
    }
}

/// What a store must hold, now and after each change before.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The hash of the map after so many changes.
    prefixes: Vec<u128>,
}

impl Default for Model {
    fn default() -> Model {
        Model { map: BTreeMap::new(), prefixes: vec![hash_of(&BTreeMap::new())] }
    }
}

impl Model {
    /// What a store holds, as change number 0.
    pub(crate) fn of(store: &dyn KvsEngine) -> Model {
        let map = contents(store).unwrap();
        Model { prefixes: vec![hash_of(&map)], map }
    }

    /// What a store holds that was made with these changes, of which it has `count`.
    pub(crate) fn after(store: &dyn KvsEngine, prefixes: &[u128], count: u64) -> Model {
        let map = contents(store).unwrap();
        let prefixes = prefixes[..=count as usize].to_vec();
        assert_eq!(prefixes.last(), Some(&hash_of(&map)));
        Model { map, prefixes }
    }

    pub(crate) fn count(&self) -> u64 {
        self.prefixes.len() as u64 - 1
    }

    fn apply(&mut self, members: &[(Vec<u8>, Option<Vec<u8>>)]) -> u64 {
        for (key, value) in members {
            match value {
                Some(value) => drop(self.map.insert(key.clone(), value.clone())),
                None => drop(self.map.remove(key)),
            }
        }
        self.prefixes.push(hash_of(&self.map));
        self.count()
    }
}

/// Everything in a store.
pub(crate) fn contents(store: &dyn KvsRead) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let pair = |(key, value): (Value, Value)| (key.to_vec(), value.to_vec());
    store.scan(KeyRange::all())?.map(|found| found.map(pair)).collect()
}

fn hash_of(map: &BTreeMap<Vec<u8>, Vec<u8>>) -> u128 {
    let mut digest = Xxh3::new();
    map.iter().for_each(|(key, value)| put_pair(&mut digest, key, value));
    digest.digest128()
}

/// Adds a pair to the hash of a store's contents; pairs come in the order of their keys.
pub(crate) fn put_pair(digest: &mut Xxh3, key: &[u8], value: &[u8]) {
    digest.update(&(key.len() as u64).to_le_bytes());
    digest.update(key);
    digest.update(&(value.len() as u64).to_le_bytes());
    digest.update(value);
}

/// What was done, as the disk saw it, and what the store held after each change.
pub(crate) struct History {
    pub(crate) name: String,
    pub(crate) setting: Setting,
    pub(crate) recording: Recording,
    /// The hash of the contents after so many changes.
    pub(crate) prefixes: Vec<u128>,
    /// Directories of checkpoints, and how many changes each must have.
    pub(crate) checkpoints: Vec<(&'static str, u64)>,
}

impl History {
    /// Changes between which the store held these.
    pub(crate) fn new(
        setting: &Setting,
        recording: Recording,
        held: &[BTreeMap<Vec<u8>, Vec<u8>>],
    ) -> History {
        let (setting, prefixes) = (setting.clone(), held.iter().map(hash_of).collect());
        History { name: String::new(), setting, recording, prefixes, checkpoints: Vec::new() }
    }

    /// How often the disk was asked for something like this.
    pub(crate) fn count(&self, like: impl Fn(&Op) -> bool) -> usize {
        self.recording.ops().iter().filter(|op| like(op)).count()
    }
}
