//! The engines that every behaviour runs on, and a store of any of them that can be closed and
//! opened again.
//!
//! A behaviour is a function over `&dyn KvsEngine`, or over `&mut Store` if it wants to close and
//! open. `on_every_engine!([a, b])` makes each of them a test of its own on each engine, named
//! `bitcask_tiny::a`. A new engine is a line in [`on_every_engine`] and a [`Setup`].

use kvs::engine::KvsEngine;
use kvs::engine::kind::EngineKind;
use kvs::engine::metered::Metered;
use kvs::engine::options::OpenOptions;
use kvs::error::Result;
use kvs::survive::engine::{SMALL_BITCASK, SMALL_LSM};
use kvs::survive::script::Settings;
use kvs::survive::script::session::Place;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use kvs::vfs::{Cause, DirEntry, Vfs, read_exact_at};
use kvs::worker::Schedule;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// How a test's store is made.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// As in the names of tests and in the first line of scripts.
    pub(crate) name: &'static str,
    pub(crate) kind: EngineKind,
    pub(crate) disk: Disk,
    pub(crate) meter: Meter,
    pub(crate) settings: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// In memory, and background work inline: deterministic to the byte.
    Simulated,
    /// A temporary directory, and background work on threads: as users have it.
    Os,
}

/// Whether the engine is wrapped in a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meter {
    None,
    Upper,
}

const PLAIN: Setup = Setup {
    name: "memory",
    kind: EngineKind::Memory,
    disk: Disk::Simulated,
    meter: Meter::None,
    settings: &[],
};

pub(crate) const MEMORY: Setup = PLAIN;

pub(crate) const METERED: Setup = Setup { name: "metered", meter: Meter::Upper, ..PLAIN };

pub(crate) const BITCASK: Setup = Setup { name: "bitcask", kind: EngineKind::Bitcask, ..PLAIN };

/// Everything small, so that a short test rotates, merges, and closes files that it still reads.
pub(crate) const BITCASK_TINY: Setup = Setup { name: "bitcask_tiny", settings: SMALL_BITCASK, ..BITCASK };

pub(crate) const BITCASK_OS: Setup = Setup { name: "bitcask_os", disk: Disk::Os, ..BITCASK };

pub(crate) const BITCASK_OS_TINY: Setup = Setup { name: "bitcask_os_tiny", disk: Disk::Os, ..BITCASK_TINY };

pub(crate) const LSM: Setup = Setup { name: "lsm", kind: EngineKind::Lsm, ..PLAIN };

/// Everything small, so that a short test flushes, compacts through several levels, and closes tables
/// that it still reads.
pub(crate) const LSM_TINY: Setup = Setup { name: "lsm_tiny", settings: SMALL_LSM, ..LSM };

pub(crate) const LSM_OS: Setup = Setup { name: "lsm_os", disk: Disk::Os, ..LSM };

pub(crate) const LSM_OS_TINY: Setup = Setup { name: "lsm_os_tiny", disk: Disk::Os, ..LSM_TINY };

impl Setup {
    /// Whether a store of it outlives its closing.
    pub(crate) fn is_kept(&self) -> bool {
        self.kind != EngineKind::Memory
    }
}

/// All setups, to be found by name.
pub(crate) const ALL: &[Setup] = &[
    MEMORY,
    METERED,
    BITCASK,
    BITCASK_TINY,
    BITCASK_OS,
    BITCASK_OS_TINY,
    LSM,
    LSM_TINY,
    LSM_OS,
    LSM_OS_TINY,
];

/// Makes each behaviour a test on each engine.
macro_rules! on_every_engine {
    ($behaviours:tt) => {
        on_engine!(memory, MEMORY, $behaviours);
        on_engine!(metered, METERED, $behaviours);
        on_every_kept_engine!($behaviours);
    };
}

/// Makes each behaviour a test on each engine whose stores outlive their closing.
macro_rules! on_every_kept_engine {
    ($behaviours:tt) => {
        on_engine!(bitcask, BITCASK, $behaviours);
        on_engine!(bitcask_tiny, BITCASK_TINY, $behaviours);
        on_engine!(bitcask_os, BITCASK_OS, $behaviours);
        on_engine!(bitcask_os_tiny, BITCASK_OS_TINY, $behaviours);
        on_engine!(lsm, LSM, $behaviours);
        on_engine!(lsm_tiny, LSM_TINY, $behaviours);
        on_engine!(lsm_os, LSM_OS, $behaviours);
        on_engine!(lsm_os_tiny, LSM_OS_TINY, $behaviours);
    };
}

macro_rules! on_engine {
    ($engine:ident, $setup:ident, [$($behaviour:ident),* $(,)?]) => {
        mod $engine {
            $(
                #[test]
                fn $behaviour() {
                    crate::common::engines::run(&crate::common::engines::$setup, super::$behaviour);
                }
            )*
        }
    };
}

/// Runs one behaviour on a fresh store.
pub(crate) fn run<Over>(setup: &Setup, behaviour: impl Behaviour<Over>) {
    behaviour.run(&mut Store::new(setup));
}

/// Something that every engine does, over an engine or over a store.
pub(crate) trait Behaviour<Over> {
    fn run(self, store: &mut Store);
}

pub(crate) struct OverEngine;
pub(crate) struct OverStore;

impl<F: Fn(&dyn KvsEngine)> Behaviour<OverEngine> for F {
    fn run(self, store: &mut Store) {
        self(&**store);
    }
}

impl<F: Fn(&mut Store)> Behaviour<OverStore> for F {
    fn run(self, store: &mut Store) {
        self(store);
    }
}

/// A store of a test. Derefs to its engine.
pub(crate) struct Store {
    setup: Setup,
    settings: Settings,
    /// The directory; also the disk's, where other stores may be made beside it.
    root: PathBuf,
    disk: Arc<dyn Vfs>,
    engine: Option<Arc<dyn KvsEngine>>,
    _temp: Option<TempDir>,
}

impl Store {
    pub(crate) fn new(setup: &Setup) -> Store {
        Store::with_settings(setup, &[])
    }

    /// With more settings, that win over those of the setup.
    pub(crate) fn with_settings(setup: &Setup, more: &[(String, String)]) -> Store {
        let own = setup.settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let settings = own.chain(more.iter().cloned()).collect();
        let (disk, root, temp) = setup.disk.make();
        let mut store = Store { setup: setup.clone(), settings, root, disk, engine: None, _temp: temp };
        store.engine = Some(store.open_at(&store.path()).expect("a fresh store opens"));
        store
    }

    /// Any engine at all; it is not closed by [`Store::reopen`].
    pub(crate) fn around(engine: Arc<dyn KvsEngine>) -> Store {
        Store { engine: Some(engine), ..Store::new(&MEMORY) }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Where another store may be, on the same disk.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Vfs> {
        &self.disk
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.setup.kind
    }

    /// Whether it outlives its closing.
    pub(crate) fn is_kept(&self) -> bool {
        self.setup.is_kept()
    }

    /// Whether nothing goes on in it between two calls.
    pub(crate) fn is_inline(&self) -> bool {
        self.setup.disk.schedule() == Schedule::Inline
    }

    /// A handle of its own, as threads share it.
    pub(crate) fn engine(&self) -> Arc<dyn KvsEngine> {
        self.engine.clone().expect("the store is open")
    }

    /// How it is opened.
    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            disk: self.disk.clone(),
            schedule: self.setup.disk.schedule(),
            store_id: Some(0x6b76_7300),
            ..OpenOptions::default()
        }
    }

    /// The options of its engine.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Opens the directory `path` as this store is opened.
    pub(crate) fn open_at(&self, path: &Path) -> Result<Arc<dyn KvsEngine>> {
        self.open_with(path, self.options(), &self.settings)
    }

    pub(crate) fn open_with(
        &self,
        path: &Path,
        options: OpenOptions,
        settings: &[(String, String)],
    ) -> Result<Arc<dyn KvsEngine>> {
        let engine = self.setup.kind.open(path, options, settings)?;
        Ok(match self.setup.meter {
            Meter::None => engine,
            Meter::Upper => Arc::new(Metered::new(engine)),
        })
    }

    /// Lets go of the engine.
    pub(crate) fn close(&mut self) {
        if self.is_kept() {
            self.engine = None;
        }
    }

    /// Closes it and opens it again. Without a disk there is nothing to open, and nothing happens.
    pub(crate) fn reopen(&mut self) {
        self.close();
        if self.is_kept() {
            self.engine = Some(self.open_at(&self.path()).expect("the store opens again"));
        }
    }

    /// The same with other options of the engine, from now on.
    pub(crate) fn reopen_with(&mut self, settings: Settings) {
        self.settings = settings;
        self.reopen();
    }

    /// Its files; none without a disk.
    pub(crate) fn files(&self) -> Vec<DirEntry> {
        self.disk.list(&self.path()).unwrap_or_default()
    }

    /// Bytes in its files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files().iter().map(|file| file.len).sum()
    }

    /// Everything in one file.
    pub(crate) fn read_file(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let file = self.disk.open(&self.path().join(name), Cause::Inspect)?;
        let mut bytes = vec![0; file.len() as usize];
        read_exact_at(&*file, &mut bytes, 0)?;
        Ok(bytes)
    }

    /// Everything on its disk that belongs to it: names and bytes.
    pub(crate) fn image(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.files().into_iter().map(|file| file.name);
        files.map(|name| (name.clone(), self.read_file(&name).expect("a file can be read"))).collect()
    }
}

/// How scripts see it. Closing a store that is not kept does nothing, as for [`Store::reopen`].
impl Place for Store {
    fn engine(&self) -> Result<Arc<dyn KvsEngine>> {
        Ok(Store::engine(self))
    }

    fn reopen(&mut self, settings: Option<&Settings>) -> Result<()> {
        match settings {
            Some(settings) => self.reopen_with(settings.clone()),
            None => Store::reopen(self),
        }
        Ok(())
    }

    fn beside(&self, name: &str) -> PathBuf {
        Store::beside(self, name)
    }

    fn files(&self) -> Vec<DirEntry> {
        Store::files(self)
    }

    fn read_file(&self, name: &str) -> std::io::Result<Vec<u8>> {
        Store::read_file(self, name)
    }
}

impl Deref for Store {
    type Target = dyn KvsEngine;

    fn deref(&self) -> &Self::Target {
        &**self.engine.as_ref().expect("the store is open")
    }
}

impl Disk {
    /// A disk, and a directory on it that is there and empty.
    fn make(self) -> (Arc<dyn Vfs>, PathBuf, Option<TempDir>) {
        match self {
            Disk::Simulated => {
                let disk = SimDisk::from_image(&Image::default(), Record::Off);
                (Arc::new(disk), PathBuf::from("/"), None)
            }
            Disk::Os => {
                let temp = tempfile::tempdir().expect("there is room for a temporary directory");
                (Arc::new(OsDisk), temp.path().to_path_buf(), Some(temp))
            }
        }
    }

    fn schedule(self) -> Schedule {
        match self {
            Disk::Simulated => Schedule::Inline,
            Disk::Os => Schedule::Threads,
        }
    }
}
