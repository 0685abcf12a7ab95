//! An engine with settings that make everything small: how it is opened, and where it keeps what.

pub mod files;

use crate::engine::KvsEngine;
use crate::engine::kind::EngineKind;
use crate::engine::options::OpenOptions;
use crate::error::{Error, Result};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Names and values of options that make a Bitcask small: a short life rotates, merges, and closes files
/// that it still reads.
pub const SMALL_BITCASK: &[(&str, &str)] = &[("segment_bytes", "4096"), ("max_open_segments", "2")];

/// Names and values of options that make an LSM tree small, as `LsmOptions::tiny()` has them: a short life
/// flushes, compacts through several levels, and closes tables that it still reads.
pub const SMALL_LSM: &[(&str, &str)] = &[
    ("memtable_bytes", "4096"),
    ("cache_bytes", "8192"),
    ("block_bytes", "256"),
    ("restart_interval", "3"),
    ("table_bytes", "2048"),
    ("level0_tables", "2"),
    ("level0_slowdown", "6"),
    ("level0_stop", "8"),
    ("level_bytes", "8192"),
    ("level_factor", "3"),
    ("max_open_tables", "4"),
];

/// What keeps an LSM tree from being compacted.
const UNMERGED: [(&str, &str); 4] =
    [("level0_tables", "100"), ("level0_slowdown", "1000"), ("level0_stop", "1000"), ("level_bytes", "1GiB")];

/// An engine that keeps files, with options that make everything small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Which one; never the engine in memory, which has nothing to lose.
    pub kind: EngineKind,
    /// Its own options, by name and value.
    settings: Vec<(String, String)>,
}

impl Engine {
    /// Every engine.
    pub fn all() -> Vec<Engine> {
        vec![Engine::bitcask(), Engine::lsm()]
    }

    /// A small Bitcask.
    pub fn bitcask() -> Engine {
        Engine::with_all(EngineKind::Bitcask, SMALL_BITCASK)
    }

    /// A small LSM tree.
    pub fn lsm() -> Engine {
        Engine::with_all(EngineKind::Lsm, SMALL_LSM)
    }

    /// The small engine of this kind.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for the engine in memory: it keeps no files.
    pub fn small(kind: EngineKind) -> Result<Engine> {
        match kind {
            EngineKind::Bitcask => Ok(Engine::bitcask()),
            EngineKind::Lsm => Ok(Engine::lsm()),
            EngineKind::Memory => Err(Error::invalid(
                "the memory engine keeps no files, so nothing can be lost; take bitcask or lsm",
            )),
        }
    }

    fn with_all(kind: EngineKind, settings: &[(&str, &str)]) -> Engine {
        let own = settings.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string()));
        Engine { kind, settings: own.collect() }
    }

    /// As in the names of tests.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its own options that are not as usual, by name and value.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// This engine with another value of one of its options.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Engine {
        let mut engine = self.clone();
        engine.settings.retain(|(other, _)| other != name);
        engine.settings.push((name.into(), value.into()));
        engine
    }

    /// What is so of the one engine, or of the other.
    fn pick<T>(&self, bitcask: T, lsm: T) -> T {
        match self.kind {
            EngineKind::Bitcask => bitcask,
            EngineKind::Lsm => lsm,
            EngineKind::Memory => unreachable!("it keeps no files, and is not made here"),
        }
    }

    /// This engine, which does not rewrite what it has written, but when it is asked to.
    #[must_use]
    pub fn unmerged(&self) -> Engine {
        let settings = self.pick(&[("merge_garbage_ratio", "1")][..], &UNMERGED);
        settings.iter().fold(self.clone(), |engine, (name, value)| engine.with(name, value))
    }

    /// This engine, whose log is not rotated before it has so many bytes.
    #[must_use]
    pub fn with_log_bytes(&self, bytes: u64) -> Engine {
        self.with(self.pick("segment_bytes", "memtable_bytes"), &bytes.to_string())
    }

    /// This engine, which keeps no values in memory that are in a file that does not change.
    #[must_use]
    pub fn uncached(&self) -> Engine {
        self.pick(self.clone(), self.with("cache_bytes", "0"))
    }

    /// This engine without files that it could do without.
    #[must_use]
    pub fn plain(&self) -> Engine {
        self.pick(self.with("hints", "false"), self.clone())
    }

    /// This engine, and without the files that it could do without.
    pub fn variants(&self) -> Vec<Engine> {
        let mut variants = vec![self.clone(), self.plain()];
        variants.dedup();
        variants
    }

    /// Opens a store of it.
    ///
    /// # Errors
    /// As [`EngineKind::open`].
    pub fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<dyn KvsEngine>> {
        self.kind.open(path, options, &self.settings)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.settings.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
