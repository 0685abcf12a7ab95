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
        let count = |request: &&Request| request.batch.len() as u64;
        let written = || group.iter().filter(|request| request.is_written);
        let mut seqno = self.next_seqno - written().map(|request| count(&request)).sum::<u64>();
        let mut memtable = self.memtable.writer();
        for op in written().flat_map(|request| request.batch.iter()) {
            match op {
                Op::Set(key, value) => memtable.insert(key, seqno, Kind::Set, value),
                Op::Remove(key) => memtable.insert(key, seqno, Kind::Remove, &[]),
            }
            seqno += 1;
        }
    }
}
