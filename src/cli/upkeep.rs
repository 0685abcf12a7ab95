//! `kvs compact`, `kvs flush`, `kvs sync`, `kvs checkpoint`: one call each on a store that is there.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place::Need;
use crate::cli::progress::Progress;
use crate::cli::range::Keys;
use crate::cli::session::Session;
use clap::Args;
use std::path::PathBuf;

/// Reclaim the space of what was overwritten or removed
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs compact
  kvs compact a m                      only files that may hold keys from a up to, not with, m
  kvs compact --prefix user:
  kvs -v compact                       tell which files became which

Files are compacted as a whole. Those of bitcask are ordered by time, and not by key: there a file
is rewritten if something in it is dead whose key is in the range.")]
pub(crate) struct Compact {
    #[command(flatten)]
    keys: Keys,
}

impl Compact {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let range = self.keys.range(session)?;
        let store = session.store(Need::Exist)?;
        let before = store.stats()?.disk_bytes;
        let progress = Progress::spinner(&session.voice, "compact");
        store.compact_range(&range)?;
        drop(progress);
        let after = store.stats()?.disk_bytes;
        if session.out.is_json() {
            let sizes = serde_json::json!({ "disk_bytes_before": before, "disk_bytes_after": after });
            session.out.object(&sizes)?;
        } else {
            session.voice.remark(&format!("{before} bytes on disk became {after}"));
        }
        Ok(Outcome::Done)
    }
}

/// Write what is only in memory or in a log into data files
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs flush
  kvs -v flush                         tell what became of it

The lsm engine writes its memtables as tables of level 0, so that the next opening has no log to
read; bitcask seals its active segment. What was written is durable then. Nothing depends on it.")]
pub(crate) struct Flush {}

impl Flush {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let store = session.store(Need::Exist)?;
        let _progress = Progress::spinner(&session.voice, "flush");
        store.flush()?;
        Ok(Outcome::Done)
    }
}

/// Wait until everything that was written is on the device
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs set tea green && kvs sync        now it survives a power cut
  kvs --sync always set tea green      the same in one")]
pub(crate) struct Sync {}

impl Sync {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        session.store(Need::Exist)?.sync()?;
        Ok(Outcome::Done)
    }
}

/// Write an equal store into another directory
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs checkpoint /backup/monday
  kvs -p /backup/monday scan

Files that do not change any more are shared by hard links where the disk has them, so that it is
quick and takes little space.")]
pub(crate) struct Checkpoint {
    /// A directory that is missing or empty
    dest: PathBuf,
}

impl Checkpoint {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let store = session.store(Need::Exist)?;
        let _progress = Progress::spinner(&session.voice, "checkpoint");
        store.checkpoint(&self.dest)?;
        Ok(Outcome::Done)
    }
}
