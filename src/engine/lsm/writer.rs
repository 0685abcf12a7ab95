//! What a commit leader holds: the newest log, and the memtable that goes with it.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::lsm::key::Kind;
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::wal::WalWriter;
use crate::engine::request::Request;
use std::sync::Arc;

/// The log and the memtable that are written.
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
