//! What happens inside a store, told to whoever listens: the command line prints it with `-v`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Something that happened. Events are told while locks may be held: a listener is quick, and does
/// not call the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The last log ended in bytes that were never acknowledged as durable, as after a crash; they
    /// were dropped.
    TornTail {
        /// The log.
        path: PathBuf,
        /// Where what is whole ends.
        offset: u64,
        /// Bytes behind it.
        dropped_bytes: u64,
    },
    /// The sealed files were read.
    Loaded {
        /// Files read by their hints.
        from_hints: u64,
        /// Files read record by record.
        from_logs: u64,
    },
    /// The store is open.
    Opened {
        /// Keys that it holds.
        keys: u64,
        /// The sequence number of its newest write.
        seqno: u64,
    },
    /// A hint could not be used, and its log was read instead.
    HintRefused {
        /// The hint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The active log was sealed and another begun.
    Rotated {
        /// The number of the sealed file.
        sealed: u64,
        /// The number of the new one.
        active: u64,
    },
    /// A memtable was written as a table.
    Flushed {
        /// The table.
        table: u64,
        /// The log that is not needed any more.
        wal: u64,
        /// Bytes of the table.
        bytes: u64,
    },
    /// Tables went to another level as they are.
    Moved {
        /// The tables.
        tables: Vec<u64>,
        /// Where they are now.
        level: u8,
    },
    /// Sorted pairs were loaded as tables.
    LoadedSorted {
        /// The tables.
        tables: Vec<u64>,
        /// Their level.
        level: u8,
        /// Their bytes.
        bytes: u64,
    },
    /// Writers wait for the background.
    Stalled {
        /// What there is no room for.
        reason: String,
    },
    /// They wait no more.
    Resumed {
        /// How long they waited.
        after: Duration,
    },
    /// A merge or compaction was done.
    Compacted {
        /// Files that it read.
        inputs: Vec<u64>,
        /// Files that it wrote.
        outputs: Vec<u64>,
        /// Bytes that it read.
        read_bytes: u64,
        /// Bytes that it wrote.
        written_bytes: u64,
    },
    /// A file that is not needed was removed.
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not needed could not be removed; the next opening tries again.
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The store refuses writes from now on.
    Poisoned {
        /// Why.
        reason: String,
    },
    /// Background work failed in a way that harms nothing but itself; it is tried again later.
    BackgroundFailed {
        /// What failed, and why.
        reason: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::TornTail { path, offset, dropped_bytes } => {
                let path = path.display();
                write!(f, "{path}: {dropped_bytes} bytes of an unfinished write at offset {offset} dropped")
            }
            Event::Loaded { from_hints, from_logs } => {
                write!(f, "sealed files: {from_hints} read by hint, {from_logs} by log")
            }
            Event::Opened { keys, seqno } => write!(f, "open: {keys} keys, newest write {seqno}"),
            Event::HintRefused { path, reason } => {
                write!(f, "{}: not used ({reason}); the log is read instead", path.display())
            }
            Event::Rotated { sealed, active } => write!(f, "file {sealed} sealed, file {active} begun"),
            Event::Flushed { table, wal, bytes } => {
                write!(f, "log {wal} became table {table}: {bytes} bytes")
            }
            Event::Moved { tables, level } => write!(f, "tables {tables:?} moved to level {level}"),
            Event::LoadedSorted { tables, level, bytes } => {
                write!(f, "loaded as tables {tables:?} of level {level}: {bytes} bytes")
            }
            Event::Stalled { reason } => write!(f, "writers wait: {reason}"),
            Event::Resumed { after } => write!(f, "writers go on after {} ms", after.as_millis()),
            Event::Compacted { inputs, outputs, read_bytes, written_bytes } => {
                write!(
                    f,
                    "files {inputs:?} became {outputs:?}: {read_bytes} bytes read, {written_bytes} written"
                )
            }
            Event::Removed { path } => write!(f, "{}: removed", path.display()),
            Event::NotRemoved { path, reason } => write!(f, "{}: not removed: {reason}", path.display()),
            Event::Poisoned { reason } => write!(f, "writes are refused from now on: {reason}"),
            Event::BackgroundFailed { reason } => write!(f, "background work failed: {reason}"),
        }
    }
}

type Hear = dyn Fn(&Event) + Send + Sync;

/// Who is told; nobody by default. Clones tell the same one.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<Hear>>);

impl Listener {
    /// Tells `hear`.
    pub fn new(hear: impl Fn(&Event) + Send + Sync + 'static) -> Listener {
        Listener(Some(Arc::new(hear)))
    }

    /// A listener, and where all that it is told can be received, in its order. What nobody receives is kept in
    /// memory, until the receiver is dropped.
    ///
    /// ```
    /// use kvs::engine::event::{Event, Listener};
    /// use kvs::engine::lsm::{Lsm, options::LsmOptions};
    /// use kvs::engine::{KvsEngine, options::OpenOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let (listener, told) = Listener::channel();
    /// let options = OpenOptions { listener, ..OpenOptions::default() };
    /// let store = Lsm::open(dir.path(), options, LsmOptions::default())?;
    /// store.set(b"key", b"value")?;
    /// store.flush()?;
    /// assert!(told.try_iter().any(|event| matches!(event, Event::Flushed { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn channel() -> (Listener, Receiver<Event>) {
        let (tell, told) = mpsc::channel();
        (Listener::new(move |event| _ = tell.send(event.clone())), told)
    }

    /// Tells what happened.
    pub fn tell(&self, event: Event) {
        if let Some(hear) = &self.0 {
            hear(&event);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(some)" } else { "Listener(none)" })
    }
}
