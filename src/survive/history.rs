//! A history: what was done to a store, step by step, as the disk saw it, and what the store held after
//! each change.

use crate::engine::KvsEngine;
use crate::engine::Snapshot;
use crate::engine::batch::WriteBatch;
use crate::engine::kind::EngineKind;
use crate::engine::migrate::{Destination, migrate};
use crate::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use crate::survive::engine::Engine;
use crate::survive::error::{Error, Result};
use crate::survive::model::{Map, Model, digest, hash_of};
use crate::survive::step::{List, Member, Step};
use crate::vfs::Vfs;
use crate::vfs::memory::recording::{Mark, Op, Recording};
use crate::vfs::memory::{Record, SimDisk, image::Image};
use crate::worker::Schedule;
use std::path::Path;
use std::sync::Arc;

/// The store that is made, unless somebody says: fixed, so that each run has the same bytes.
pub const STORE_ID: u64 = 7;

/// Where it is, unless somebody says.
pub const STORE: &str = "/s";

/// What the store is doing, said in the recording: it is opened.
pub const OPENING: &str = "opening";
/// It does what it is asked to.
pub const RUNNING: &str = "running";
/// It is closed.
pub const CLOSING: &str = "closing";
/// A second store is made of it.
pub const CHECKPOINTING: &str = "making a checkpoint";
/// A store of the other engine is made of it.
pub const MIGRATING: &str = "migrating";

/// Where a store is and how it is opened.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its directory.
    pub path: String,
    /// Which engine, with which options.
    pub engine: Engine,
    /// Of writes that do not say.
    pub durability: Durability,
    /// Fixed, so that each run has the same bytes.
    pub store_id: u64,
    /// Where background work is done.
    pub schedule: Schedule,
}

impl Setting {
    /// The usual one.
    pub fn of(engine: &Engine) -> Setting {
        Setting {
            path: STORE.into(),
            engine: engine.clone(),
            durability: Durability::Os,
            store_id: STORE_ID,
            schedule: Schedule::Inline,
        }
    }

    /// Opens the store, and makes it if there is none.
    ///
    /// # Errors
    /// As [`EngineKind::open`], as for the other two.
    pub fn open(&self, disk: Arc<dyn Vfs>) -> crate::error::Result<Arc<dyn KvsEngine>> {
        self.open_as(disk, Path::new(&self.path), Access::Create)
    }

    /// A store that is there already, to look at.
    ///
    /// # Errors
    /// As above, and [`crate::error::Error::NoStore`].
    pub fn open_to_read(&self, disk: Arc<dyn Vfs>) -> crate::error::Result<Arc<dyn KvsEngine>> {
        self.open_as(disk, Path::new(&self.path), Access::Read)
    }

    /// A store that is there already; makes none.
    ///
    /// # Errors
    /// As above.
    pub fn open_existing(&self, disk: Arc<dyn Vfs>, path: &Path) -> crate::error::Result<Arc<dyn KvsEngine>> {
        self.open_as(disk, path, Access::Write)
    }

    fn open_as(
        &self,
        disk: Arc<dyn Vfs>,
        path: &Path,
        access: Access,
    ) -> crate::error::Result<Arc<dyn KvsEngine>> {
        self.engine.open(path, OpenOptions { access, ..self.options(disk) })
    }

    fn options(&self, disk: Arc<dyn Vfs>) -> OpenOptions {
        OpenOptions {
            disk,
            durability: self.durability,
            schedule: self.schedule,
            store_id: Some(self.store_id),
            ..OpenOptions::default()
        }
    }

    /// The setting of a store of the other engine that is made of this one.
    pub fn migrated(&self) -> Setting {
        let engine = match self.engine.kind {
            EngineKind::Lsm => Engine::bitcask(),
            EngineKind::Bitcask | EngineKind::Memory => Engine::lsm(),
        };
        Setting { engine, ..self.clone() }
    }
}

/// A second store that a workload makes.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its directory.
    pub path: String,
    /// How many changes it must have.
    pub changes: u64,
    /// Whether it is of the other engine.
    pub is_migrated: bool,
}

impl Made {
    /// What the recording says when it is done.
    pub fn note(&self) -> String {
        format!("made {}", self.path)
    }
}

/// A store that is open on a recording disk, and what it must hold.
pub struct Life {
    setting: Setting,
    disk: SimDisk,
    /// None only while it is opened again.
    store: Option<Arc<dyn KvsEngine>>,
    /// What it must hold.
    pub model: Model,
    made: Vec<Made>,
    /// Snapshots, and what each must hold.
    held: Vec<(Snapshot, u128)>,
}

impl Life {
    /// Opens the store.
    ///
    /// # Errors
    /// What opening can fail with.
    pub fn begin(setting: &Setting, disk: SimDisk, model: Model) -> Result<Life> {
        disk.mark(Mark::Note(OPENING.into()));
        let store = setting.open(Arc::new(disk.clone()))?;
        disk.mark(Mark::Note(RUNNING.into()));
        let setting = setting.clone();
        Ok(Life { setting, disk, store: Some(store), model, made: Vec::new(), held: Vec::new() })
    }

    /// The store.
    pub fn store(&self) -> &dyn KvsEngine {
        &**self.store.as_ref().expect("it is open but while it is opened again")
    }

    /// From now on it is recorded; what was before is durable, and change number 0.
    ///
    /// # Errors
    /// What reading the store can fail with.
    pub fn forget_the_past(&mut self) -> Result<()> {
        self.disk.record(Record::On);
        self.made.clear();
        self.model = Model::of(self.store())?;
        Ok(())
    }

    /// Does these steps.
    ///
    /// # Errors
    /// [`Error::Store`] if one fails; [`Error::Wrong`] if one returns what is not so.
    pub fn play(&mut self, steps: &[Step]) -> Result<()> {
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
                self.change(members, *durability, |store| Ok(store.write(batch, &options)?))
            }
            Step::Remove(key) => {
                let was_there = self.model.map().contains_key(key);
                self.change(&[(key.clone(), None)], self.setting.durability, |store| {
                    agree("remove", store.remove(key)?, was_there)
                })
            }
            Step::Swap(key, value) => {
                let old = self.model.map().get(key).cloned();
                self.change(&[(key.clone(), value.clone())], self.setting.durability, |store| {
                    let found = store.swap(key, value.as_deref())?;
                    agree("swap", found.as_deref(), old.as_deref())
                })
            }
            Step::Load(pairs) => self.load(pairs),
            Step::Sync => self.durable(|store| store.sync()),
            Step::Flush => self.durable(|store| store.flush()),
            Step::Compact => Ok(self.store().compact()?),
            Step::CompactRange(range) => Ok(self.store().compact_range(range)?),
            Step::Hold => {
                self.held.push((self.store().snapshot()?, self.model.hash()));
                Ok(())
            }
            Step::Release if self.held.is_empty() => Ok(()),
            Step::Release => {
                let (snapshot, held) = self.held.remove(0);
                agree("a snapshot", digest(&snapshot)?.digest128(), held)
            }
            Step::Reopen => self.reopen(),
            Step::Checkpoint(path) => {
                self.make(path, CHECKPOINTING, |life| Ok(life.store().checkpoint(Path::new(path))?))
            }
            Step::Migrate(path) => self.make(path, MIGRATING, |life| life.migrate(path)),
        }
    }

    fn load(&mut self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let members: Vec<Member> =
            pairs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let count = pairs.len() as u64;
        let load =
            |store: &dyn KvsEngine| agree("load_sorted", store.load_sorted(&mut List(pairs.iter()))?, count);
        let durability = match self.setting.engine.kind {
            EngineKind::Lsm => Durability::Always,
            EngineKind::Bitcask | EngineKind::Memory => self.setting.durability,
        };
        if pairs.is_empty() { load(self.store()) } else { self.change(&members, durability, load) }
    }

    /// One change, between its marks.
    fn change(
        &mut self,
        members: &[Member],
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

    /// What makes all changes durable.
    fn durable(&self, work: impl FnOnce(&dyn KvsEngine) -> crate::error::Result<()>) -> Result<()> {
        work(self.store())?;
        self.disk.mark(Mark::Ack(self.model.count()));
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        // The old one holds the lock until it is gone, and snapshots hold the old one's files.
        self.held.clear();
        self.disk.mark(Mark::Note(CLOSING.into()));
        self.store = None;
        self.disk.mark(Mark::Note(OPENING.into()));
        self.store = Some(self.setting.open(Arc::new(self.disk.clone()))?);
        self.disk.mark(Mark::Note(RUNNING.into()));
        Ok(())
    }

    fn make(&mut self, path: &str, phase: &str, work: impl FnOnce(&Life) -> Result<()>) -> Result<()> {
        let is_migrated = phase == MIGRATING;
        let made = Made { path: path.into(), changes: self.model.count(), is_migrated };
        let note = made.note();
        self.made.push(made);
        self.disk.mark(Mark::Note(phase.into()));
        work(self)?;
        self.disk.mark(Mark::Note(RUNNING.into()));
        self.disk.mark(Mark::Note(note));
        Ok(())
    }

    fn migrate(&self, path: &str) -> Result<()> {
        let setting = self.setting.migrated();
        let dest = Destination {
            path: Path::new(path),
            engine: setting.engine.kind,
            options: OpenOptions { access: Access::Create, ..setting.options(Arc::new(self.disk.clone())) },
            settings: setting.engine.settings(),
        };
        migrate(self.store(), &dest, &mut |_| Ok(()))?;
        Ok(())
    }

    /// Closes the store.
    pub fn end(self, name: &str) -> History {
        let Life { setting, disk, store, model, made, held } = self;
        drop(held);
        disk.mark(Mark::Note(CLOSING.into()));
        drop(store);
        let (recording, prefixes) = (disk.recording(), model.into_prefixes());
        History { name: name.into(), setting, recording, prefixes, made }
    }
}

/// What was returned must be what is so.
fn agree<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Wrong(format!("{what} returned {found:?} in place of {expected:?}"))),
    }
}

/// What was done, as the disk saw it, and what the store held after each change.
#[derive(Clone)]
pub struct History {
    /// Of the workload.
    pub name: String,
    /// Where the store is and how it is opened.
    pub setting: Setting,
    /// What the disk was asked for.
    pub recording: Recording,
    /// The hash of the contents after so many changes.
    pub prefixes: Vec<u128>,
    /// The other stores that it made.
    pub made: Vec<Made>,
}

impl History {
    /// Changes between which the store held these.
    pub fn new(setting: &Setting, recording: Recording, held: &[Map]) -> History {
        let (setting, prefixes) = (setting.clone(), held.iter().map(hash_of).collect());
        History { name: String::new(), setting, recording, prefixes, made: Vec::new() }
    }

    /// How often the disk was asked for something like this.
    pub fn count(&self, like: impl Fn(&Op) -> bool) -> usize {
        self.recording.ops().iter().filter(|op| like(op)).count()
    }
}

/// What is done to a store, and on which disk.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it is called.
    pub name: String,
    /// Where the store is and how it is opened.
    pub setting: Setting,
    /// What it finds.
    pub begin: Begin,
    /// What it does then.
    pub steps: Vec<Step>,
}

/// What a workload finds.
#[derive(Clone, Debug)]
pub enum Begin {
    /// An empty disk: the making of the store is recorded too.
    Nothing,
    /// A store to which this was done, all of it durable, and not recorded.
    Prepared(Vec<Step>),
    /// As above, of so many of these steps that the next but two replaces the manifest.
    ShortOfAReplacement(Vec<Step>),
    /// A disk, as a crash has left it.
    Crashed(Image),
    /// A disk that is made so.
    Left(fn(&Engine) -> Result<Image>),
}

impl Workload {
    /// These steps, of a store that is there and empty.
    pub fn new(name: &str, engine: &Engine, steps: Vec<Step>) -> Workload {
        let (setting, begin) = (Setting::of(engine), Begin::Prepared(Vec::new()));
        Workload { name: name.into(), setting, begin, steps }
    }

    /// Does it, and records it, closing included.
    ///
    /// # Errors
    /// What the store can fail with; [`Error::Wrong`] if it returns what is not so.
    pub fn record(&self) -> Result<History> {
        let disk = match &self.begin {
            Begin::Crashed(image) => SimDisk::from_image(image, Record::On),
            Begin::Left(make) => SimDisk::from_image(&make(&self.setting.engine)?, Record::On),
            Begin::Nothing | Begin::Prepared(_) | Begin::ShortOfAReplacement(_) => SimDisk::new(),
        };
        let mut life = Life::begin(&self.setting, disk, Model::default())?;
        match &self.begin {
            Begin::Prepared(steps) => {
                life.play(steps)?;
                life.forget_the_past()?;
            }
            Begin::ShortOfAReplacement(steps) => {
                life.play(&steps[..self.steps_before_a_replacement(steps)?])?;
                life.forget_the_past()?;
            }
            Begin::Nothing | Begin::Crashed(_) | Begin::Left(_) => life.model = Model::of(life.store())?,
        }
        life.play(&self.steps)?;
        Ok(life.end(&self.name))
    }

    /// How many of these steps leave two before the one that replaces the manifest.
    fn steps_before_a_replacement(&self, steps: &[Step]) -> Result<usize> {
        let begin = Begin::Prepared(Vec::new());
        let history = Workload { steps: steps.to_vec(), begin, ..self.clone() }.record()?;
        let ops = history.recording.ops();
        let replaced = ops.iter().position(|op| matches!(op, Op::Rename { .. }));
        let before = &ops[..replaced.unwrap_or(0)];
        let done = before.iter().filter(|op| matches!(op, Op::Mark(Mark::Handed(_)))).count();
        done.checked_sub(2).ok_or_else(|| {
            Error::Plan(format!("{}: with these options no manifest is replaced", self.setting.engine))
        })
    }
}
