//! What the files of an engine are called, and records as they would stand in its log.

use crate::codec::put_varint;
use crate::engine::bitcask::segment::{Entry, Origin, Scratch};
use crate::engine::kind::EngineKind;
use crate::engine::lsm::wal;
use crate::engine::{batch, filename};
use crate::record::frame::{self, Header, Part};
use crate::survive::engine::Engine;
use crate::vfs::Cause;
use crate::vfs::memory::image::Image;
use std::path::{Path, PathBuf};

impl Engine {
    /// What the names of its logs end with.
    pub fn log_ending(&self) -> &'static str {
        self.pick(".seg", ".wal")
    }

    /// What the names of the files end with that background work reads and makes.
    pub fn output_ending(&self) -> &'static str {
        self.pick(".seg", ".sst")
    }

    /// What the names of all files end with that hold what users wrote.
    pub fn data_endings(&self) -> &'static [&'static str] {
        self.pick(&[".seg"], &[".wal", ".sst"])
    }

    /// Whether it is called like a log.
    pub fn is_log(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| path.ends_with(self.log_ending()))
    }

    /// Whether it is called like a file with what users wrote.
    pub fn is_data(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| self.data_endings().iter().any(|ending| path.ends_with(ending)))
    }

    /// The paths of the files with data.
    pub fn data_files(&self, image: &Image) -> Vec<PathBuf> {
        image.files.keys().filter(|path| self.is_data(path)).map(|path| path.to_path_buf()).collect()
    }

    /// The log that grows: the one with the highest number.
    pub fn newest_log(&self, image: &Image) -> PathBuf {
        image.files.keys().rfind(|path| self.is_log(path)).expect("a store has a log").to_path_buf()
    }

    /// The name of a log.
    pub fn log_name(&self, number: u64) -> String {
        self.pick(filename::segment(number), filename::wal(number))
    }

    /// Why logs are appended to.
    pub fn log_cause(&self) -> Cause {
        self.pick(Cause::Log, Cause::Wal)
    }

    /// Whether somebody rewrites what was written before: a merge or a compaction.
    pub fn is_rewrite(cause: Cause) -> bool {
        matches!(cause, Cause::Merge | Cause::Compaction(_))
    }

    /// The header of its log of this number.
    pub fn log_header(&self, store_id: u64, number: u64) -> Header {
        let kind = self.pick(Origin::Log.log_kind(), wal::LOG_KIND);
        Header { store_id, number, kind }
    }

    /// Appends a record to a log's bytes, as it would stand at `offset`, that sets `key` to nothing.
    pub fn put_record(&self, log: &mut Vec<u8>, header: &Header, offset: u64, seqno: u64, key: &[u8]) {
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
