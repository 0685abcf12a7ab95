//! The engines that faults happen to: how each is opened, and what its files are called.
//!
//! A test is a function over an [`Engine`], and `on_each_engine!([a, b])` makes it a test of its own on
//! each of them, named `bitcask::a`. A new engine is a line in [`on_each_engine`] and one in [`all`].

#![allow(dead_code, unused_macros, reason = "what one test file leaves unused, another uses")]

use crate::common::engines::{BITCASK_TINY, LSM_TINY, Setup};
use kvs::codec::put_varint;
use kvs::engine::KvsEngine;
use kvs::engine::bitcask::segment::{Entry, Origin, Scratch};
use kvs::engine::kind::EngineKind;
use kvs::engine::lsm::wal;
use kvs::engine::options::OpenOptions;
use kvs::engine::{batch, filename};
use kvs::error::{Error, Result};
use kvs::record::frame::{self, Header, Part};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::{Cause, Vfs};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An engine, with options that make everything small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Engine {
    pub(crate) kind: EngineKind,
    /// Its own options.
    settings: Vec<(String, String)>,
}

/// What keeps an LSM tree from being compacted.
const UNMERGED: [(&str, &str); 4] =
    [("level0_tables", "100"), ("level0_slowdown", "1000"), ("level0_stop", "1000"), ("level_bytes", "1GiB")];

/// Makes each function over an engine a test on each engine.
macro_rules! on_each_engine {
    ($tests:tt) => {
        on_the_engine!(bitcask, $tests);
        on_the_engine!(lsm, $tests);
    };
}

macro_rules! on_the_engine {
    ($engine:ident, [$($test:ident),* $(,)?]) => {
        mod $engine {
            $(
                #[test]
                fn $test() {
                    super::$test(&crate::fault_support::engine::Engine::$engine());
                }
            )*
        }
    };
}

/// Every engine.
pub(crate) fn all() -> Vec<Engine> {
    vec![Engine::bitcask(), Engine::lsm()]
}

impl Engine {
    pub(crate) fn bitcask() -> Engine {
        Engine::of(&BITCASK_TINY)
    }

    pub(crate) fn lsm() -> Engine {
        Engine::of(&LSM_TINY)
    }

    fn of(setup: &Setup) -> Engine {
        let own = setup.settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Engine { kind: setup.kind, settings: own.collect() }
    }

    /// As in the names of tests.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// This engine with another value of one of its options.
    pub(crate) fn with(&self, name: &str, value: &str) -> Engine {
        let mut engine = self.clone();
        engine.settings.retain(|(other, _)| other != name);
        engine.settings.push((name.into(), value.into()));
        engine
    }

    /// This engine, which does not rewrite what it has written, but when it is asked to.
    pub(crate) fn unmerged(&self) -> Engine {
        match self.kind {
            EngineKind::Bitcask => self.with("merge_garbage_ratio", "1"),
            EngineKind::Lsm => {
                UNMERGED.iter().fold(self.clone(), |engine, (name, value)| engine.with(name, value))
            }
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// This engine, whose log is not rotated before it has so many bytes.
    pub(crate) fn with_log_bytes(&self, bytes: u64) -> Engine {
        match self.kind {
            EngineKind::Bitcask => self.with("segment_bytes", &bytes.to_string()),
            EngineKind::Lsm => self.with("memtable_bytes", &bytes.to_string()),
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// This engine, which keeps no values in memory that are in a file that does not change.
    pub(crate) fn uncached(&self) -> Engine {
        match self.kind {
            EngineKind::Bitcask => self.clone(),
            EngineKind::Lsm => self.with("cache_bytes", "0"),
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// This engine without files that it could do without.
    pub(crate) fn plain(&self) -> Engine {
        match self.kind {
            EngineKind::Bitcask => self.with("hints", "false"),
            EngineKind::Lsm => self.clone(),
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// This engine, and without the files that it could do without.
    pub(crate) fn variants(&self) -> Vec<Engine> {
        let mut variants = vec![self.clone(), self.plain()];
        variants.dedup();
        variants
    }

    pub(crate) fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<dyn KvsEngine>> {
        self.kind.open(path, options, &self.settings)
    }

    // ---- its files ----

    /// What the names of its logs end with.
    pub(crate) fn log_ending(&self) -> &'static str {
        match self.kind {
            EngineKind::Bitcask => ".seg",
            EngineKind::Lsm => ".wal",
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// What the names of the files end with that background work reads and makes.
    pub(crate) fn output_ending(&self) -> &'static str {
        match self.kind {
            EngineKind::Bitcask => ".seg",
            EngineKind::Lsm => ".sst",
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// What the names of all files end with that hold what users wrote.
    pub(crate) fn data_endings(&self) -> &'static [&'static str] {
        match self.kind {
            EngineKind::Bitcask => &[".seg"],
            EngineKind::Lsm => &[".wal", ".sst"],
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    pub(crate) fn is_log(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| path.ends_with(self.log_ending()))
    }

    pub(crate) fn is_data(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| self.data_endings().iter().any(|ending| path.ends_with(ending)))
    }

    /// The paths of the files with data.
    pub(crate) fn data_files(&self, image: &Image) -> Vec<PathBuf> {
        image.files.keys().filter(|path| self.is_data(path)).map(|path| path.to_path_buf()).collect()
    }

    /// The log that grows: the one with the highest number.
    pub(crate) fn newest_log(&self, image: &Image) -> PathBuf {
        image.files.keys().rfind(|path| self.is_log(path)).expect("a store has a log").to_path_buf()
    }

    /// The name of a log.
    pub(crate) fn log_name(&self, number: u64) -> String {
        match self.kind {
            EngineKind::Bitcask => filename::segment(number),
            EngineKind::Lsm => filename::wal(number),
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// Why logs are appended to.
    pub(crate) fn log_cause(&self) -> Cause {
        match self.kind {
            EngineKind::Bitcask => Cause::Log,
            EngineKind::Lsm => Cause::Wal,
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }

    /// Whether somebody rewrites what was written before: a merge or a compaction.
    pub(crate) fn is_rewrite(cause: Cause) -> bool {
        matches!(cause, Cause::Merge | Cause::Compaction(_))
    }

    // ---- its log ----

    /// The header of its log of this number.
    pub(crate) fn log_header(&self, store_id: u64, number: u64) -> Header {
        let kind = match self.kind {
            EngineKind::Bitcask => Origin::Log.log_kind(),
            EngineKind::Lsm => wal::LOG_KIND,
            EngineKind::Memory => unreachable!("it has no files"),
        };
        Header { store_id, number, kind }
    }

    /// Appends a record to a log's bytes, as it would stand at `offset`, that sets `key` to nothing.
    pub(crate) fn put_record(&self, log: &mut Vec<u8>, header: &Header, offset: u64, seqno: u64, key: &[u8]) {
        match self.kind {
            EngineKind::Bitcask => {
                let mut scratch = Scratch::default();
                let entry = Entry { seqno, op: batch::Op::Set(key, b"") };
                let (kind, pieces) = entry.encode(&mut scratch);
                frame::encode(log, header.salt(), offset, (kind, Part::Full), None, &pieces);
            }
            EngineKind::Lsm => {
                let mut batch = batch::WriteBatch::new();
                batch.set(key, b"");
                let mut first = Vec::new();
                put_varint(&mut first, seqno);
                let kind = (wal::BATCH, Part::Full);
                frame::encode(log, header.salt(), offset, kind, None, &[&first, batch.as_bytes()]);
            }
            EngineKind::Memory => unreachable!("it has no files"),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.settings.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// A disk without anything on it, which is not recorded.
pub(crate) fn empty_disk() -> SimDisk {
    SimDisk::from_image(&Image::default(), Record::Off)
}

/// All of a disk as one that can be handed to an engine.
pub(crate) fn disk_of(image: &Image) -> Arc<dyn Vfs> {
    Arc::new(SimDisk::from_image(image, Record::Off))
}

/// Why a store could not be opened.
pub(crate) fn refusal(opened: Result<Arc<dyn KvsEngine>>) -> Error {
    opened.map(|_| ()).unwrap_err()
}
