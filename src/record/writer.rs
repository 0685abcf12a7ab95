//! Appends groups of records to a log, and knows how much of it is durable.

use crate::error::{Error, Result};
use crate::record::frame::{self, CLOSE, HEADER_LEN, Header, Part};
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The offset of its first byte.
    pub offset: u64,
    /// Its bytes in all.
    pub len: usize,
}

/// Writes one log. Records are collected by [`push`](LogWriter::push) and go to the file with one
/// call of [`flush`](LogWriter::flush).
///
/// After an error the log is of no more use: what the file holds behind the last sync is unknown.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    salt: u32,
    /// Records that are not in the file yet.
    pending: Vec<u8>,
    /// Bytes in the file.
    written: u64,
    /// Bytes that are durable.
    synced: u64,
    /// The most that a record has said is durable.
    claimed: u64,
    /// CRC-32C of all bytes in the file.
    checksum: u32,
}

impl LogWriter {
    /// Makes a new log with its header in it. Neither the file nor its name is synced. Where there is no room
    /// for a header, no file stays either.
    pub fn create(dir: &Dir, name: &str, header: Header, cause: Cause) -> Result<LogWriter> {
        let file = dir.create(name, cause)?;
        let bytes = header.encode();
        file.append(&bytes).inspect_err(|_| drop(dir.remove(name)))?;
        Ok(LogWriter::resume(file, header, crc32c::crc32c(&bytes)))
    }

    /// Goes on behind the end of a log that was read; `checksum` is that of the whole file. Takes
    /// nothing for durable: who knows better says so with [`LogWriter::note_synced`].
    pub fn resume(file: File, header: Header, checksum: u32) -> LogWriter {
        let written = file.len();
        LogWriter { file, salt: header.salt(), pending: Vec::new(), written, synced: 0, claimed: 0, checksum }
    }

    /// Adds a record; its payload is `pieces`, one behind the other. Says where it will stand.
    #[inline]
    pub fn push(&mut self, kind: u8, part: Part, pieces: &[&[u8]]) -> Span {
        let offset = self.end();
        let before = self.pending.len();
        let synced = (self.synced > self.claimed).then_some(self.synced);
        self.claimed = self.synced;
        frame::encode(&mut self.pending, self.salt, offset, (kind, part), synced, pieces);
        Span { offset, len: self.pending.len() - before }
    }

    /// Hands what was pushed to the operating system, with one call. With this it survives the death
    /// of the process.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.append(&self.pending)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &self.pending);
        self.written += self.pending.len() as u64;
        self.pending.clear();
        // A large batch does not pin its memory.
        self.pending.shrink_to(1 << 20);
        Ok(())
    }

    /// Waits until everything that was flushed is on the device.
    pub fn sync(&mut self) -> Result<()> {
        if self.synced < self.written {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Takes note that a sync of the file, begun when `len` bytes were written, has returned.
    pub fn note_synced(&mut self, len: u64) {
        self.synced = self.synced.max(len);
    }

    /// Ends the log in an orderly way: what was reserved is given back, everything is synced, and a
    /// `Close` record vouches for it. Returns how much is durable: all but that record, whose loss
    /// would do no harm.
    pub fn close(&mut self) -> Result<u64> {
        self.finish()?;
        self.push(CLOSE, Part::Full, &[]);
        self.flush()?;
        Ok(self.synced)
    }

    /// Gives back what was reserved, and syncs everything: the log can be sealed.
    pub fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.file.truncate(self.written)?;
        // Also when nothing was written since the last sync: the new length must be durable.
        self.file.sync()?;
        self.synced = self.written;
        Ok(())
    }

    /// Makes sure that appends find zeros to overwrite, unless the disk has no room for them; see
    /// [`crate::vfs::DiskFile::reserve`].
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        match self.file.reserve(bytes) {
            // The append that is to come may be small enough; if not, it says so.
            Err(Error::NoSpace { .. }) => Ok(()),
            reserved => reserved,
        }
    }

    /// Where the next record will stand: bytes in the file and waiting for it.
    #[inline]
    pub fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Bytes in the file.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that are durable.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// CRC-32C of the bytes in the file.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether nothing but the header was ever written.
    pub fn is_empty(&self) -> bool {
        self.end() == HEADER_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::LogWriter;
    use crate::record::frame::{self, CLOSE, HEADER_LEN, Header, Part};
    use crate::vfs::Cause;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use crate::vfs::memory::recording::Op;
    use std::path::Path;
    use std::sync::Arc;

    const HEADER: Header = Header { store_id: 1, number: 1, kind: 1 };

    fn log(disk: &SimDisk) -> LogWriter {
        let dir = Dir::new(Arc::new(disk.clone()), Path::new("/"));
        LogWriter::create(&dir, "log", HEADER, Cause::Log).unwrap()
    }

    fn bytes(disk: &SimDisk) -> Vec<u8> {
        disk.image().get("/log").unwrap().to_vec()
    }

    #[test]
    fn records_stand_one_behind_the_other() {
        let disk = SimDisk::new();
        let mut log = log(&disk);
        assert!(log.is_empty());
        let mut end = HEADER_LEN;
        for n in 0..6 {
            let span = log.push(1, Part::Full, &[&[7; 300][..n * 60]]);
            assert_eq!(span.offset, end, "record {n}");
            end += span.len as u64;
            assert_eq!((log.end(), log.is_empty()), (end, false));
            if n % 3 == 2 {
                log.flush().unwrap();
            }
        }
        assert_eq!((bytes(&disk).len() as u64, crc32c::crc32c(&bytes(&disk))), (end, log.checksum()));
    }

    #[test]
    fn a_close_gives_back_what_was_reserved_and_vouches_for_the_rest() {
        let disk = SimDisk::new();
        let mut log = log(&disk);
        log.reserve(5000).unwrap();
        assert_eq!(bytes(&disk).len() as u64, HEADER_LEN + 5000);
        let span = log.push(1, Part::Full, &[b"something"]);
        let end = span.offset + span.len as u64;
        assert_eq!(log.close().unwrap(), end);
        let bytes = bytes(&disk);
        assert_eq!(bytes.len() as u64, log.end());
        let last = frame::decode(&bytes[end as usize..], HEADER.salt(), end).unwrap();
        assert_eq!((last.kind, last.synced), (CLOSE, Some(end)));
    }

    #[test]
    fn nothing_is_synced_twice() {
        let disk = SimDisk::new();
        let mut log = log(&disk);
        let syncs = || disk.recording().ops().iter().filter(|op| matches!(op, Op::Sync { .. })).count();
        for _ in 0..3 {
            log.sync().unwrap();
        }
        assert_eq!(syncs(), 1);
        // The length that a reservation is cut to must be durable, though no byte is new.
        log.finish().unwrap();
        assert_eq!(syncs(), 2);
    }

    #[test]
    fn a_large_batch_does_not_pin_its_memory_and_small_ones_share_theirs() {
        let mut log = log(&SimDisk::new());
        let mut left = |len: usize| {
            log.push(1, Part::Full, &[&vec![7; len]]);
            log.flush().unwrap();
            log.pending.capacity()
        };
        assert!(left(1000) >= 1000);
        assert!((1 << 20..2 << 20).contains(&left(4 << 20)));
    }

    #[test]
    fn a_log_knows_what_is_pending_written_and_durable() {
        let mut log = log(&SimDisk::new());
        let lens = |log: &LogWriter| (log.end(), log.written(), log.synced());
        assert_eq!(lens(&log), (HEADER_LEN, HEADER_LEN, 0));
        let span = log.push(1, Part::Full, &[b"some", b"thing"]);
        let end = HEADER_LEN + span.len as u64;
        assert_eq!(lens(&log), (end, HEADER_LEN, 0));
        log.flush().unwrap();
        assert_eq!(lens(&log), (end, end, 0));
        log.sync().unwrap();
        assert_eq!(lens(&log), (end, end, end));
        log.push(1, Part::Full, &[b"more"]);
        log.flush().unwrap();
        assert_eq!(log.synced(), end, "what is written later is not durable yet");
    }
}
