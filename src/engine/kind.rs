//! Which engine: by name, by looking at a directory, and opened. The only file that knows them all.

use crate::engine::KvsEngine;
use crate::engine::bitcask::Bitcask;
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::claim::may_create;
use crate::engine::identity::Identity;
use crate::engine::lsm::Lsm;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::options::LsmOptions;
use crate::engine::memory::Memory;
use crate::engine::options::{OpenOptions, OptionInfo};
use crate::error::{Error, MEMORY, Result};
use crate::vfs::Vfs;
use crate::vfs::dir::Dir;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// An engine's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineKind {
    /// The model: everything in memory, nothing kept.
    Memory,
    /// Append-only segments, keys in memory.
    Bitcask,
    /// Leveled log-structured merge tree.
    Lsm,
}

impl EngineKind {
    /// The engines, in the order in which they are listed.
    pub const ALL: [EngineKind; 3] = [EngineKind::Bitcask, EngineKind::Lsm, EngineKind::Memory];

    /// The name, as on the command line and in the identity file.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Memory => MEMORY,
            EngineKind::Bitcask => "bitcask",
            EngineKind::Lsm => "lsm",
        }
    }

    /// The engine that owns the directory; `None` if there is no store in it.
    pub fn detect(disk: Arc<dyn Vfs>, path: &Path) -> Result<Option<EngineKind>> {
        let dir = Dir::new(disk, path);
        let mut found = Identity::load(&dir)?;
        // Without its identity a store must not pass for an empty directory.
        if found.is_none()
            && let Err(damage) = may_create(&dir)
        {
            // Or it was being made, and is by now.
            found = Some(Identity::load(&dir)?.ok_or(damage)?);
        }
        found.map(|identity| identity.engine.parse()).transpose()
    }

    /// Whether a new store with these settings has its keys in descending order of their bytes.
    pub fn is_descending(self, settings: &[(String, String)]) -> Result<bool> {
        Ok(self == EngineKind::Lsm && of_a_tree(settings)?.order() == Order::Reverse)
    }

    /// Opens the store at `path`, with the engine's own `settings` as names and values.
    pub fn open(
        self,
        path: &Path,
        options: OpenOptions,
        settings: &[(String, String)],
    ) -> Result<Arc<dyn KvsEngine>> {
        match self {
            EngineKind::Memory => {
                self.check(settings).map(|()| Arc::new(Memory::new()) as Arc<dyn KvsEngine>)
            }
            EngineKind::Bitcask => Ok(Arc::new(Bitcask::open(path, options, of_a_bitcask(settings)?)?)),
            EngineKind::Lsm => Ok(Arc::new(Lsm::open(path, options, of_a_tree(settings)?)?)),
        }
    }

    /// Whether these are settings of the engine, with values that it takes. Opens nothing.
    pub fn check(self, settings: &[(String, String)]) -> Result<()> {
        match self {
            EngineKind::Memory if settings.is_empty() => Ok(()),
            EngineKind::Memory => Err(Error::invalid("the memory engine has no options")),
            EngineKind::Bitcask => of_a_bitcask(settings)?.validate(),
            EngineKind::Lsm => of_a_tree(settings)?.validate(),
        }
    }

    /// The engine's own options, with what they cost.
    pub fn options(self) -> Vec<OptionInfo> {
        match self {
            EngineKind::Bitcask => BitcaskOptions::list(),
            EngineKind::Lsm => LsmOptions::list(),
            EngineKind::Memory => Vec::new(),
        }
    }
}

/// The options of a Bitcask that these settings name.
fn of_a_bitcask(settings: &[(String, String)]) -> Result<BitcaskOptions> {
    let mut own = BitcaskOptions::default();
    settings.iter().try_for_each(|(name, value)| own.set(name, value))?;
    Ok(own)
}

/// The options of an LSM tree that these settings name.
fn of_a_tree(settings: &[(String, String)]) -> Result<LsmOptions> {
    let mut own = LsmOptions::default();
    settings.iter().try_for_each(|(name, value)| own.set(name, value))?;
    Ok(own)
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<EngineKind> {
        let kind = EngineKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| Error::invalid(format!("{name}: no such engine; there are bitcask, lsm, memory")))
    }
}
