//! The writing end of the tree: what a commit leader holds.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::health::Health;
use crate::engine::lsm::key::Kind;
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::wal::WalWriter;
use crate::engine::request::Request;
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::vfs::dir::File;
use std::sync::Arc;

/// The writer, for the leader of a commit and for who rotates.
#[derive(Debug)]
pub(super) struct Active {
    /// `None` when open for reading only, and after closing.
    writer: Mutex<Option<Writer>>,
    /// The number of the newest log, for who does not want to wait for the writer.
    wal: AtomicU64,
    /// A log that the system should begin to write.
    writeback: Mutex<Option<File>>,
    health: Arc<Health>,
}

impl Active {
    pub(super) fn new(writer: Option<Writer>, wal: u64, health: Arc<Health>) -> Active {
        Active { writer: Mutex::new(writer), wal: AtomicU64::new(wal), writeback: Mutex::default(), health }
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock()
    }

    /// Whether writes are taken.
    pub(super) fn check_writable(&self) -> Result<()> {
        match &*self.lock() {
            Some(_) => self.health.check(),
            None => Err(Error::ReadOnly),
        }
    }

    /// The number of the newest log.
    pub(super) fn wal(&self) -> u64 {
        self.wal.load(Ordering::Relaxed)
    }

    /// Takes note that another log was begun.
    pub(super) fn note_wal(&self, number: u64) {
        self.wal.store(number, Ordering::Relaxed);
    }

    /// Makes durable what the operating system has, without keeping writers out.
    pub(super) fn sync_behind(&self) -> Result<()> {
        self.health.check()?;
        let found = self.lock().as_ref().and_then(|w| Some((w.wal.unsynced()?, w.wal.number())));
        let Some(((file, len), number)) = found else { return Ok(()) };
        self.health.guard(file.sync())?;
        if let Some(writer) = &mut *self.lock()
            && writer.wal.number() == number
        {
            writer.wal.note_synced(len);
        }
        Ok(())
    }

    /// Leaves the file of the newest log to [`Active::start_writeback`].
    pub(super) fn want_writeback(&self, wal: &WalWriter) {
        *self.writeback.lock() = Some(wal.file().clone());
    }

    /// Asks the system to begin writing what was appended, if a leader wanted that. Never waits for the writer:
    /// who holds that may be waiting for the flush that comes next in this thread.
    pub(super) fn start_writeback(&self) {
        let wanted = self.writeback.lock().take();
        wanted.inspect(|file| file.start_writeback());
    }
}

/// The newest log, and the memtable that goes with it.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) wal: WalWriter,
    pub(super) memtable: Arc<Memtable>,
    pub(super) next_seqno: u64,
}

impl Writer {
    /// The sequence number of the last op that was pushed.
    pub(super) fn last_seqno(&self) -> u64 {
        self.next_seqno - 1
    }

    /// Adds a batch to the log's next append.
    #[inline]
    pub(super) fn push(&mut self, batch: &WriteBatch) {
        self.wal.push(self.next_seqno, batch);
        self.next_seqno += batch.len() as u64;
    }

    /// Puts a group that is in the log into the memtable. Readers do not see it yet.
    pub(super) fn insert(&self, group: &[Request]) {
        let written = || group.iter().filter(|request| request.is_written);
        let count: u64 = written().map(|request| request.batch.len() as u64).sum();
        let mut memtable = self.memtable.writer();
        let ops = written().flat_map(|request| request.batch.iter());
        for (seqno, op) in (self.next_seqno - count..).zip(ops) {
            match op {
                Op::Set(key, value) => memtable.insert(key, seqno, Kind::Set, value),
                Op::Remove(key) => memtable.insert(key, seqno, Kind::Remove, &[]),
            }
        }
    }
}
