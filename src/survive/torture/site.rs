//! Where tortured stores are: a disk in memory that fails and loses what it is told to.

use crate::engine::KvsEngine;
use crate::engine::event::{Event, Listener};
use crate::engine::kind::EngineKind;
use crate::engine::options::{Access, Durability, OpenOptions};
use crate::error::{Error, Result};
use crate::survive::script::opening::{Opening, split};
use crate::survive::script::session::Place;
use crate::survive::script::{Crash, Failure, Settings};
use crate::vfs::crash::power_cut;
use crate::vfs::fault::{At, Errno, Fault, FaultDisk, Lasting};
use crate::vfs::memory::image::Image;
use crate::vfs::memory::{Record, SimDisk};
use crate::vfs::{Cause, DirEntry, Vfs, read_exact_at};
use crate::worker::Schedule;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Opens a store: the engine's own way, or one with a bug that a test has planted.
pub type Open<'a> = &'a (dyn Fn(EngineKind, OpenOptions, &Settings) -> Result<Arc<dyn KvsEngine>> + Sync);

/// The store's directory.
pub const STORE: &str = "/store";

/// The engine's own way to open the store in [`STORE`].
pub fn as_usual(kind: EngineKind, options: OpenOptions, settings: &Settings) -> Result<Arc<dyn KvsEngine>> {
    kind.open(Path::new(STORE), options, settings)
}

/// A store on a simulated disk, behind one that fails.
///
/// Two of its settings are not the engine's: `durability=always` and `schedule=threads` say how the store
/// is opened. A rule of [`Failure`] stands until the disk is healed, an opening fails because of it, or the
/// process dies.
pub struct Site<'a> {
    kind: EngineKind,
    open: Open<'a>,
    settings: Settings,
    record: Record,
    sim: SimDisk,
    faulty: FaultDisk,
    engine: Option<Arc<dyn KvsEngine>>,
    /// Faults of the disks before this one.
    faults: u64,
    /// Whether the store has said that it is poisoned, since it was opened.
    poisoned: Arc<AtomicBool>,
}

impl<'a> Site<'a> {
    /// A new store. `record` must be on if the power will be cut.
    pub fn new(kind: EngineKind, settings: &Settings, record: Record, open: Open<'a>) -> Result<Site<'a>> {
        let sim = SimDisk::from_image(&Image::default(), record);
        let faulty = FaultDisk::new(Arc::new(sim.clone()));
        let settings = settings.clone();
        let poisoned = Arc::new(AtomicBool::new(false));
        let mut site = Site { kind, open, settings, record, sim, faulty, engine: None, faults: 0, poisoned };
        site.open()?;
        Ok(site)
    }

    /// Faults that came so far.
    pub fn faults(&self) -> u64 {
        self.faults + self.faulty.faults()
    }

    /// Whether the store has said that it is poisoned, since it was opened.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// Opens a copy beside the store, for reading, on a disk that works.
    pub fn copy(&self, name: &str) -> Result<Arc<dyn KvsEngine>> {
        let (_, settings) = split(&self.settings, USUAL)?;
        let options = OpenOptions { access: Access::Read, ..options(Arc::new(self.sim.clone())) };
        self.kind.open(&self.beside(name), options, &settings)
    }

    fn open(&mut self) -> Result<()> {
        let (Opening { durability, schedule }, settings) = split(&self.settings, USUAL)?;
        self.poisoned = Arc::new(AtomicBool::new(false));
        let poisoned = self.poisoned.clone();
        let hear = move |event: &Event| {
            if matches!(event, Event::Poisoned { .. }) {
                poisoned.store(true, Ordering::Relaxed);
            }
        };
        let disk: Arc<dyn Vfs> = Arc::new(self.faulty.clone());
        let options = OpenOptions { durability, schedule, listener: Listener::new(hear), ..options(disk) };
        self.engine = Some((self.open)(self.kind, options, &settings)?);
        Ok(())
    }

    /// From now on nothing that the process does reaches the disk.
    fn die(&mut self) {
        self.faults += self.faulty.faults();
        self.faulty.heal();
        let all = At::Match { call: None, ends_with: String::new(), nth: 0 };
        self.faulty.rule(all, Fault::Fail(Errno::Io), Lasting::Sticky);
        self.engine = None;
    }
}

fn options(disk: Arc<dyn Vfs>) -> OpenOptions {
    OpenOptions { disk, schedule: Schedule::Inline, store_id: Some(0x6b76_7300), ..OpenOptions::default() }
}

/// How a store is opened whose history does not say.
const USUAL: Opening = Opening { durability: Durability::Os, schedule: Schedule::Inline };

impl Place for Site<'_> {
    fn engine(&self) -> Result<Arc<dyn KvsEngine>> {
        self.engine.clone().ok_or_else(|| Error::invalid("the store is closed: it could not be opened"))
    }

    fn reopen(&mut self, settings: Option<&Settings>) -> Result<()> {
        self.engine = None;
        if let Some(settings) = settings {
            self.settings = settings.clone();
        }
        self.open()
    }

    fn crash(&mut self, crash: Crash) -> Result<()> {
        self.die();
        if let Crash::Power(seed) = crash {
            let image = power_cut(&self.sim.recording(), seed);
            self.sim = SimDisk::from_image(&image, self.record);
        }
        self.faulty = FaultDisk::new(Arc::new(self.sim.clone()));
        self.open()
    }

    fn fail(&mut self, failure: Failure) -> Result<()> {
        let Failure { call, nth, errno, is_short, is_lasting } = failure;
        let fault = if is_short { Fault::Short(errno) } else { Fault::Fail(errno) };
        let lasting = if is_lasting { Lasting::Sticky } else { Lasting::Once };
        let nth = nth.saturating_sub(1);
        self.faulty.rule(At::Match { call, ends_with: String::new(), nth }, fault, lasting);
        Ok(())
    }

    fn heal(&mut self) -> Result<()> {
        self.faulty.heal();
        Ok(())
    }

    fn beside(&self, name: &str) -> PathBuf {
        Path::new("/copies").join(name)
    }

    fn files(&self) -> Vec<DirEntry> {
        self.sim.list(Path::new(STORE)).unwrap_or_default()
    }

    fn read_file(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.sim.open(&Path::new(STORE).join(name), Cause::Inspect)?;
        let mut bytes = vec![0; file.len() as usize];
        read_exact_at(&*file, &mut bytes, 0)?;
        Ok(bytes)
    }
}
