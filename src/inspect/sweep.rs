//! One pass over many tables and logs, in the order of their internal keys: over damage, with a few
//! files open at a time.
//!
//! A table is opened when the pass reaches its first key, and closed behind its last: of a tree that is
//! in order, one table a level is open.

use crate::engine::filename;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind};
use crate::engine::lsm::table::format::Salt;
use crate::inspect::batch::{self, LoggedBatch};
use crate::inspect::bytes::Bytes;

use crate::inspect::scan::{Gap, Piece, Scan};
use crate::inspect::table::cursor::{Cursor, Lost, Place};

use crate::record::frame::Header;
use crate::vfs::dir::Dir;
use std::cmp::Ordering;

/// A file that takes part.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Its number.
    pub(super) number: u64,
    /// What it is.
    pub(super) sort: Sort,
    /// Its first internal key, if that is known: until it is reached the file is not opened.
    pub(super) first: Option<Vec<u8>>,
}

/// What a file is, and what salts its checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Table(Salt),
    Log(Header),
}

impl Input {
    /// The file's name.
    pub(super) fn name(&self) -> String {
        match self.sort {
            Sort::Table(_) => filename::table(self.number),
            Sort::Log(_) => filename::wal(self.number),
        }
    }
}

/// Bytes that could not be read.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    /// The index of the input.
    pub(super) input: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reason: String,
    /// The user keys that stand before and behind it, as far as they can be read.
    pub(super) between: (Option<Vec<u8>>, Option<Vec<u8>>),
}

/// The end of a log, at which no record stands.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// The index of the input.
    pub(super) input: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reason: String,
    /// Whether it is zeros only.
    pub(super) is_zero: bool,
    /// The most that a record of the log says was durable.
    pub(super) claimed: u64,
}

/// A pass.
#[derive(Debug)]
pub(super) struct Sweep {
    dir: Dir,
    order: Order,
    pub(super) inputs: Vec<Input>,
    /// Those that are not open yet, the first one last.
    waiting: Vec<usize>,
    open: Vec<Source>,
    /// Which of the open ones the pass stands on.
    current: Option<usize>,
    /// Where it could not read.
    pub(super) lost: Vec<Loss>,
    /// What stands behind the last records of logs: a loss if it was durable, which others know.
    pub(super) tails: Vec<Tail>,
}

#[derive(Debug)]
struct Source {
    input: usize,
    entries: Entries,
}

#[derive(Debug)]
enum Entries {
    Table(Box<Cursor>),
    Log(LogEntries),
}

impl Sweep {
    /// A pass over these files of `dir`.
    pub(super) fn new(dir: &Dir, order: &Order, inputs: Vec<Input>) -> Sweep {
        let mut waiting: Vec<_> = (0..inputs.len()).collect();
        waiting.sort_by(|&a, &b| match (&inputs[a].first, &inputs[b].first) {
            (Some(a), Some(b)) => order.compare_internal(b, a),
            // What is not known stands last, and so is opened first.
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        let (dir, order) = (dir.clone(), order.clone());
        let (open, lost, tails) = (Vec::new(), Vec::new(), Vec::new());
        Sweep { dir, order, inputs, waiting, open, current: None, lost, tails }
    }

    /// Moves to the next entry; says which input has it.
    pub(super) fn advance(&mut self) -> Option<usize> {
        if let Some(current) = self.current.take() {
            self.step(current);
        }
        let mut best = self.lowest();
        while let Some(&next) = self.waiting.last() {
            let first = self.inputs[next].first.as_deref();
            let is_behind = best.zip(first).is_some_and(|(best, first)| {
                self.order.compare_internal(self.open[best].key(), first) == Ordering::Less
            });
            if is_behind {
                break;
            }
            self.waiting.pop();
            self.open(next);
            best = self.lowest();
        }
        self.current = best;
        best.map(|at| self.open[at].input)
    }

    /// The internal key of the entry.
    pub(super) fn key(&self) -> &[u8] {
        self.current.map(|at| self.open[at].key()).unwrap_or_default()
    }

    /// The value of the entry; `None` if it can not be read any more.
    pub(super) fn value(&mut self) -> Option<Vec<u8>> {
        match &mut self.open[self.current?].entries {
            Entries::Table(cursor) => Some(cursor.value().to_vec()),
            Entries::Log(log) => log.value(),
        }
    }

    /// Where the entry is: its block and its place in that; of a log, its offset.
    pub(super) fn place(&self) -> Place {
        match self.current.map(|at| &self.open[at].entries) {
            Some(Entries::Table(cursor)) => cursor.place(),
            Some(Entries::Log(log)) => Place { block: log.entry().map_or(0, |entry| entry.at), at: 0 },
            None => Place { block: 0, at: 0 },
        }
    }

    fn lowest(&self) -> Option<usize> {
        (0..self.open.len()).reduce(|best, next| {
            match self.order.compare_internal(self.open[next].key(), self.open[best].key()) {
                Ordering::Less => next,
                _ => best,
            }
        })
    }

    fn step(&mut self, at: usize) {
        if !self.open[at].advance() {
            let source = self.open.swap_remove(at);
            self.close(source);
        }
    }

    fn close(&mut self, source: Source) {
        let input = source.input;
        if let Entries::Table(cursor) = source.entries {
            let loss = |lost: Lost| {
                let Lost { from, to, reason, between } = lost;
                Loss { input, from, to, reason, between }
            };
            self.lost.extend(cursor.lost.into_iter().map(loss));
        }
    }

    fn open(&mut self, input: usize) {
        let sort = self.inputs[input].sort;
        let bytes = match Bytes::open(&self.dir, &self.inputs[input].name()) {
            Ok(bytes) => bytes,
            Err(error) => {
                let reason = error.to_string();
                return self.lost.push(Loss { input, from: 0, to: 0, reason, between: (None, None) });
            }
        };
        let entries = match sort {
            Sort::Table(salt) => {
                // Several are open at a time: each through a window of its own, and a small one.
                Entries::Table(Box::new(Cursor::new(bytes.elsewhere(), salt)))
            }
            Sort::Log(header) => {
                let (log, gaps) = LogEntries::read(bytes, header, &self.order);
                gaps.into_iter().for_each(|gap| self.gap(input, log.claimed, &gap));
                Entries::Log(log)
            }
        };
        let mut source = Source { input, entries };
        match source.advance() {
            true => self.open.push(source),
            false => self.close(source),
        }
    }

    /// A gap of a log.
    fn gap(&mut self, input: usize, claimed: u64, gap: &Gap) {
        let (from, to, reason, is_zero) = (gap.offset, gap.end, gap.why.to_string(), gap.is_zero);
        match gap.is_followed {
            true => self.lost.push(Loss { input, from, to, reason, between: (None, None) }),
            false => self.tails.push(Tail { input, from, to, reason, is_zero, claimed }),
        }
    }
}

impl Source {
    fn advance(&mut self) -> bool {
        match &mut self.entries {
            Entries::Table(cursor) => cursor.advance(),
            Entries::Log(log) => log.advance(),
        }
    }

    fn key(&self) -> &[u8] {
        match &self.entries {
            Entries::Table(cursor) => cursor.key(),
            Entries::Log(log) => log.entry().map(|entry| &entry.key[..]).unwrap_or_default(),
        }
    }
}

/// All writes of a log, in the order of their keys. Their values stay in the file.
#[derive(Debug)]
pub(super) struct LogEntries {
    bytes: Bytes,
    entries: Vec<LogEntry>,
    /// One behind the entry that it stands on.
    next: usize,
    /// The most that a record says was durable.
    claimed: u64,
}

/// One write of a log.
#[derive(Clone, Debug)]
pub(super) struct LogEntry {
    /// Its internal key.
    pub(super) key: Vec<u8>,
    /// Where in the file it begins.
    pub(super) at: u64,
    /// Where its value begins, and how long it is.
    pub(super) value: Option<(u64, u64)>,
}

impl LogEntries {
    /// Reads what is whole of a log, and where nothing is.
    pub(super) fn read(bytes: Bytes, header: Header, order: &Order) -> (LogEntries, Vec<Gap>) {
        let again = bytes.elsewhere();
        let mut scan = Scan::new(bytes, header, batch::is_likely, u64::MAX);
        let (mut entries, mut gaps, mut claimed) = (Vec::new(), Vec::new(), 0);
        while let Some(piece) = scan.next_piece() {
            match piece {
                Piece::Gap(gap) => gaps.push(gap),
                Piece::Record(frame) => {
                    claimed = claimed.max(frame.claim());
                    let Some(batch) = LoggedBatch::read(scan.bytes(), &frame) else {
                        // A valid record that is no batch, and no Close either, would be a loss; none is
                        // ever written.
                        continue;
                    };
                    batch.each(scan.bytes(), |bytes, seqno, op| {
                        let kind = if op.value.is_some() { Kind::Set } else { Kind::Remove };
                        let key = key::internal(&op.key_of(bytes), key::trailer(seqno, kind));
                        entries.push(LogEntry { key, at: op.at, value: op.value });
                    });
                }
            }
        }
        entries.sort_by(|a, b| order.compare_internal(&a.key, &b.key));
        (LogEntries { bytes: again, entries, next: 0, claimed }, gaps)
    }

    fn advance(&mut self) -> bool {
        self.next += 1;
        self.next <= self.entries.len()
    }

    fn entry(&self) -> Option<&LogEntry> {
        self.entries.get(self.next.checked_sub(1)?)
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let (at, len) = self.entry()?.value.unwrap_or((0, 0));
        Some(self.bytes.get_whole(at, usize::try_from(len).ok()?)?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::LogEntries;
    use crate::engine::KvsEngine;
    use crate::engine::lsm::Lsm;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::options::LsmOptions;
    use crate::engine::lsm::wal;
    use crate::engine::options::OpenOptions;
    use crate::inspect::bytes::Bytes;
    use crate::vfs::dir::Dir;
    use crate::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;

    /// After one block that could not be read, no value of the log counted any more: repair lost nearly all of a log
    /// of which all but one record was whole.
    #[test]
    fn a_block_that_can_not_be_read_costs_its_own_values_only() {
        let disk = FaultDisk::new(Arc::new(SimDisk::new()));
        let open = OpenOptions { disk: Arc::new(disk.clone()), store_id: Some(42), ..OpenOptions::default() };
        let store = Lsm::open(Path::new("/db"), open, LsmOptions::default()).unwrap();
        (10..40).for_each(|i| store.set(format!("key{i}").as_bytes(), &[i; 300]).unwrap());
        drop(store);
        let dir = Dir::new(Arc::new(disk.clone()), Path::new("/db"));
        let bytes = Bytes::open(&dir, "000001.wal").unwrap();
        let (mut log, gaps) = LogEntries::read(bytes, wal::header(42, 1), &Order::Bytewise);
        assert!(gaps.is_empty());
        // The first look for a value fails, and of the blocks that are tried then the second one: the value stands
        // before that.
        for nth in [0, 2] {
            disk.rule(At::nth(Call::Read, ".wal", nth), Fault::Fail(Errno::Io), Lasting::Once);
        }
        let mut read = 0;
        while log.advance() {
            assert_eq!(log.value().unwrap(), [10 + read; 300], "{read}");
            read += 1;
        }
        assert_eq!(read, 30);
        assert_eq!(log.bytes.unreadable().len(), 1);
        // What stands in such a block is not taken for zeros.
        disk.rule(At::first(Call::Read, ".wal"), Fault::Fail(Errno::Io), Lasting::Sticky);
        log.next = 1;
        assert_eq!(log.value(), None);
    }
}
