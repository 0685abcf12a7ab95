//! The write-ahead log: what makes a write survive before it is in a table.
//!
//! ```text
//! wal    := log header (kind 5), then records of kind 1, one for each batch
//! batch  := first_seqno:varint op*
//! op     := 1 key_len:varint key value_len:varint value  |  2 key_len:varint key
//! ```
//!
//! A batch is one record, and so is there as a whole or not at all. Its ops have the sequence numbers
//! from `first_seqno` on. Each memtable has a log of its own; when the memtable is sealed its log is
//! too (synced, and its length and checksum put into the manifest), and when it is flushed the log
//! goes. So several logs may exist, and only the newest may have a torn tail.

use crate::codec::{MAX_VARINT_LEN, Reader, put_varint};
use crate::engine::batch::{Op, Ops, WriteBatch};
use crate::engine::filename;
use crate::engine::lsm::key::MAX_SEQNO;
use crate::engine::lsm::version::edit::{WalMeta, WalState};
use crate::error::{Error, Result};
use crate::record::frame::{Header, Part, Record};
use crate::record::reader::{End, LogReader, checksum};
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};

/// The log kind of a write-ahead log.
pub const LOG_KIND: u32 = 5;

/// The record kind of a batch.
pub const BATCH: u8 = 1;

/// After so many syncs of one log, space is reserved ahead.
const RESERVE_AFTER: u32 = 8;

/// Zeros that are written ahead at once, or what a memtable holds if that is less: a sync then changes
/// neither the file's size nor its blocks.
const RESERVE_BYTES: u64 = 1 << 20;

/// The system is asked to begin writing whenever this much was appended, so that sealing a log does
/// not have to wait for all of it.
const WRITE_BEHIND: u64 = 8 << 20;

/// The header of a log.
pub fn header(store_id: u64, number: u64) -> Header {
    Header { store_id, number, kind: LOG_KIND }
}

/// A batch as it is read back.
#[derive(Clone, Debug)]
pub struct LoggedBatch<'a> {
    /// The sequence number of its first op.
    pub first_seqno: u64,
    ops: Ops<'a>,
}

impl<'a> LoggedBatch<'a> {
    /// Reads a record's payload; `None` if it is no batch, whole and in its bounds.
    pub fn decode(record: &Record<'a>) -> Option<LoggedBatch<'a>> {
        if record.kind != BATCH || record.part != Part::Full {
            return None;
        }
        let mut reader = Reader::new(record.payload);
        let first_seqno = reader.varint()?;
        let (ops, count) = Ops::decode(reader.rest())?;
        let last = first_seqno.checked_add(count)?.checked_sub(1)?;
        (first_seqno > 0 && count > 0 && last <= MAX_SEQNO).then_some(LoggedBatch { first_seqno, ops })
    }

    /// Its ops with their sequence numbers, in order.
    pub fn ops(&self) -> impl Iterator<Item = (u64, Op<'a>)> {
        (self.first_seqno..).zip(self.ops.clone())
    }
}

/// The writing end of the newest log.
#[derive(Debug)]
pub struct WalWriter {
    log: LogWriter,
    number: u64,
    first_seqno: u64,
    scratch: Vec<u8>,
    syncs: u32,
    /// The end of the zeros that were written ahead.
    reserved: u64,
    /// How much the system was asked to write.
    behind: u64,
    /// The end of the log when it was begun or the store was opened.
    begun_at: u64,
}

impl WalWriter {
    /// Makes a new log; durable, name and all, when this returns. Nothing names it in the manifest yet.
    pub fn create(dir: &Dir, store_id: u64, number: u64, first_seqno: u64) -> Result<WalWriter> {
        let log = LogWriter::create(dir, &filename::wal(number), header(store_id, number), Cause::Wal)?;
        log.file().sync()?;
        dir.sync()?;
        Ok(WalWriter::new(log, number, first_seqno))
    }

    /// Goes on behind the end that recovery found. What stands behind it is cut off, and what was found
    /// is made durable, before anything is done that builds on it: of what a killed process wrote, the
    /// device may have nothing yet, and after a sync that failed it never would, but for being written again.
    pub fn resume(found: FoundWal, store_id: u64) -> Result<WalWriter> {
        let FoundWal { number, first_seqno, file, end, how, closed, mut synced } = found;
        if how != End::Clean {
            file.truncate(end)?;
        }
        file.write_again(synced)?;
        // Everything before a `Close` was synced.
        if how != End::Clean || !closed {
            file.sync()?;
            synced = end;
        }
        let sum = checksum(&file, end)?;
        let mut log = LogWriter::resume(file, header(store_id, number), sum);
        // So the next record vouches for those that were found: damage to them is no torn tail.
        log.note_synced(synced);
        Ok(WalWriter::new(log, number, first_seqno))
    }

    fn new(log: LogWriter, number: u64, first_seqno: u64) -> WalWriter {
        let end = log.end();
        WalWriter {
            log,
            number,
            first_seqno,
            scratch: Vec::with_capacity(MAX_VARINT_LEN),
            syncs: 0,
            reserved: 0,
            behind: end,
            begun_at: end,
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Adds a batch; its first op gets this sequence number.
    #[inline]
    pub fn push(&mut self, first_seqno: u64, batch: &WriteBatch) {
        self.scratch.clear();
        put_varint(&mut self.scratch, first_seqno);
        self.log.push(BATCH, Part::Full, &[&self.scratch, batch.as_bytes()]);
    }

    /// Hands what was pushed to the operating system, with one call.
    #[inline]
    pub fn flush(&mut self) -> Result<()> {
        self.log.flush()
    }

    /// Waits until everything is on the device. Who syncs often gets space reserved ahead.
    pub fn sync(&mut self, memtable_bytes: u64) -> Result<()> {
        self.syncs = self.syncs.saturating_add(1);
        if self.syncs > RESERVE_AFTER && self.log.end() >= self.reserved {
            let ahead = RESERVE_BYTES.min(memtable_bytes);
            self.log.reserve(ahead)?;
            self.reserved = self.log.end() + ahead;
        }
        self.log.sync()
    }

    /// Whether so much was appended since this last said so that the system should begin to write.
    #[inline]
    pub fn is_far_ahead(&mut self) -> bool {
        let is_far = self.log.written() - self.behind >= WRITE_BEHIND;
        if is_far {
            self.behind = self.log.written();
        }
        is_far
    }

    /// Bytes that are written and not durable yet: what a sync behind the writer's back has to do; the
    /// file, and its length now.
    pub fn unsynced(&self) -> Option<(File, u64)> {
        let is_behind = self.log.synced() < self.log.written();
        is_behind.then(|| (self.log.file().clone(), self.log.written()))
    }

    /// Takes note that a sync which began when `len` bytes were written has returned.
    pub fn note_synced(&mut self, len: u64) {
        self.log.note_synced(len);
    }

    /// The file.
    pub fn file(&self) -> &File {
        self.log.file()
    }

    /// Bytes in the log.
    pub fn bytes(&self) -> u64 {
        self.log.end()
    }

    /// Whether nothing was ever appended.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Whether anything was appended since the store was opened or the log begun.
    pub fn was_written(&self) -> bool {
        self.log.end() > self.begun_at
    }

    /// Ends the log for good: all of it is durable when this returns.
    pub fn seal(&mut self, last_seqno: u64) -> Result<WalMeta> {
        self.log.finish()?;
        let (len, checksum) = (self.log.written(), self.log.checksum());
        Ok(WalMeta { first_seqno: self.first_seqno, state: WalState::Sealed { len, checksum, last_seqno } })
    }

    /// Ends the log in an orderly way; the next opening goes on with it.
    pub fn close(&mut self) -> Result<WalMeta> {
        let durable = self.log.close()?;
        Ok(WalMeta { first_seqno: self.first_seqno, state: WalState::Active { durable } })
    }

    /// What the manifest says of it when it is begun.
    pub fn meta(&self) -> WalMeta {
        WalMeta { first_seqno: self.first_seqno, state: WalState::Active { durable: 0 } }
    }
}

/// The newest log as recovery found it.
#[derive(Debug)]
pub struct FoundWal {
    /// Its number.
    pub number: u64,
    /// The first sequence number that it may hold.
    pub first_seqno: u64,
    /// Its file, open for appending or for reading.
    pub file: File,
    /// Where its last whole batch ends.
    pub end: u64,
    /// What stands behind that.
    pub how: End,
    /// Whether it was closed in an orderly way.
    pub closed: bool,
    /// How much of it is known to be durable.
    pub synced: u64,
}

/// Reads every batch of a log into `apply`, in order, and checks that their sequence numbers follow
/// each other, beginning not below `first_seqno` (a load of sorted pairs may have taken one between two
/// logs). Returns the last one; `first_seqno - 1` if there is none.
pub fn replay(
    reader: &mut LogReader<'_>,
    file: &File,
    first_seqno: u64,
    mut apply: impl FnMut(u64, Op<'_>),
) -> Result<u64> {
    let mut last_seqno = first_seqno.saturating_sub(1);
    while let Some((offset, record)) = reader.next_record()? {
        let batch = LoggedBatch::decode(&record)
            .ok_or_else(|| file.corruption(offset, "a valid record that is no batch"))?;
        let found = batch.first_seqno;
        let is_first = last_seqno + 1 == first_seqno;
        if found <= last_seqno || (!is_first && found != last_seqno + 1) {
            return Err(file.corruption(offset, format!("write {found} follows write {last_seqno}")));
        }
        for (seqno, op) in batch.ops() {
            apply(seqno, op);
            last_seqno = seqno;
        }
    }
    Ok(last_seqno)
}

/// Whether the next write still has a sequence number; the last one is never given out.
pub fn check_seqnos(last_seqno: u64, count: u64) -> Result<()> {
    match last_seqno.checked_add(count).is_some_and(|last| last < MAX_SEQNO) {
        true => Ok(()),
        false => Err(Error::invalid(
            "the store has used up its 2^56 sequence numbers; export it and import it into a new one",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH, LoggedBatch, WRITE_BEHIND, WalWriter, header, replay};
    use crate::codec::put_varint;
    use crate::engine::batch::WriteBatch;
    use crate::engine::filename;
    use crate::engine::lsm::key::MAX_SEQNO;
    use crate::error::Result;
    use crate::record::frame::{Part, Record};
    use crate::record::reader::LogReader;
    use crate::vfs::Cause;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;

    fn batch(keys: &[&str]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        keys.iter().for_each(|key| batch.set(key.as_bytes(), b"v"));
        batch
    }

    /// Whether a payload with this first sequence number and these keys is a batch.
    fn is_batch(first_seqno: u64, keys: &[&str]) -> bool {
        let mut payload = Vec::new();
        put_varint(&mut payload, first_seqno);
        payload.extend_from_slice(batch(keys).as_bytes());
        let len = payload.len();
        let record = Record { kind: BATCH, part: Part::Full, synced: None, payload: &payload, len };
        LoggedBatch::decode(&record).is_some()
    }

    #[test]
    fn a_batch_has_ops_and_sequence_numbers_that_there_are() {
        assert!(is_batch(1, &["a"]) && is_batch(MAX_SEQNO - 1, &["a", "b"]));
        assert!(!is_batch(5, &[]), "no ops");
        assert!(!is_batch(0, &["a"]), "the number that stands for none");
        assert!(!is_batch(MAX_SEQNO, &["a", "b"]), "numbers that there are not");
    }

    /// What is read of a log whose batches begin with these numbers, one op in each.
    fn replayed(first_seqno: u64, numbers: &[u64]) -> Result<(u64, Vec<u64>)> {
        let dir = Dir::new(Arc::new(SimDisk::new()), Path::new("/"));
        let mut wal = WalWriter::create(&dir, 1, 2, first_seqno).unwrap();
        numbers.iter().for_each(|&number| wal.push(number, &batch(&["a"])));
        wal.flush().unwrap();
        let file = dir.open(&filename::wal(2), Cause::Recovery).unwrap();
        let mut reader = LogReader::open(&file, file.len(), header(1, 2)).unwrap();
        let mut seen = Vec::new();
        let last = replay(&mut reader, &file, first_seqno, |seqno, _| seen.push(seqno))?;
        Ok((last, seen))
    }

    #[test]
    fn sequence_numbers_follow_each_other_from_the_first_on() {
        assert_eq!(replayed(5, &[]).unwrap(), (4, vec![]));
        assert_eq!(replayed(5, &[5, 6]).unwrap(), (6, vec![5, 6]));
        assert_eq!(replayed(5, &[8, 9]).unwrap(), (9, vec![8, 9]), "a load took those between");
        for wrong in [&[3][..], &[4], &[5, 5], &[5, 7], &[8, 7]] {
            let error = replayed(5, wrong).unwrap_err();
            assert!(error.is_corruption(), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_log_knows_what_was_written_and_what_is_durable() {
        let dir = Dir::new(Arc::new(SimDisk::new()), Path::new("/"));
        let mut wal = WalWriter::create(&dir, 1, 2, 1).unwrap();
        assert!(!wal.was_written() && wal.is_empty());
        wal.push(1, &batch(&["a"]));
        wal.flush().unwrap();
        assert!(wal.was_written() && !wal.is_empty());
        let (_, len) = wal.unsynced().unwrap();
        assert_eq!(len, wal.bytes());
        wal.note_synced(len);
        assert!(wal.unsynced().is_none());
    }

    #[test]
    fn the_system_is_asked_to_write_now_and_then() {
        let dir = Dir::new(Arc::new(SimDisk::new()), Path::new("/"));
        let mut wal = WalWriter::create(&dir, 1, 2, 1).unwrap();
        let mut large = WriteBatch::new();
        large.set(b"a", &vec![7; WRITE_BEHIND as usize / 2]);
        let far = [1, 2, 3, 4].map(|seqno| {
            wal.push(seqno, &large);
            wal.flush().unwrap();
            wal.is_far_ahead()
        });
        assert_eq!(far, [false, true, false, true]);
    }
}
