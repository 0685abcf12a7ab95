//! The disk, as the few verbs that a storage engine needs.
//!
//! Engines never touch the file system; they speak to a [`Vfs`]. The real one is [`os::OsDisk`];
//! [`memory::SimDisk`] keeps everything in memory and records each operation, so that any crash
//! can be played back; [`fault::FaultDisk`] and [`counting::CountingDisk`] wrap any of them.
//! Engines hold a [`dir::Dir`]: one directory of one disk, which puts paths into errors.
//!
//! What a disk promises, and no more (POSIX with an honest `fsync`):
//!
//! 1. Bytes that were appended may be lost, or come back as zeros or torn, until the file's
//!    [`DiskFile::sync`] has returned.
//! 2. A name that was created, renamed or removed may be found in either state until
//!    [`Vfs::sync_dir`] of its directory has returned. Syncing a file does not sync its name.
//! 3. A rename is atomic: the target is the old file or the new one.
//! 4. After a sync has failed, nothing is known about what it was to make durable, and asking
//!    again proves nothing.

pub mod counting;
pub mod crash;
pub mod dir;
pub mod fault;
pub mod limits;
pub mod memory;
pub mod os;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a file is read or written: what the byte ledger is kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Bitcask's active segment: what users write, and what they read of it.
    Log,
    /// What users read: sealed segments, tables.
    Read,
    /// Bitcask's hint files.
    Hint,
    /// Bitcask's merge: reading its inputs, writing its outputs.
    Merge,
    /// The LSM tree's write-ahead log.
    Wal,
    /// A memtable written as a table.
    Flush,
    /// A compaction into this level.
    Compaction(u8),
    /// The list of live files, and the identity file.
    Manifest,
    /// Reading at open.
    Recovery,
    /// Copies for a checkpoint or a repair.
    Checkpoint,
    /// Looking without changing: inspect, verify.
    Inspect,
}

/// How a directory is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Many readers, no writer.
    Shared,
    /// One writer, nobody else.
    Exclusive,
}

/// A lock that is held until it is dropped, or the process ends in whatever way.
pub trait DirLock: Debug + Send + Sync {}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name in its directory. Names that are no UTF-8 are not ours and are left out.
    pub name: String,
    /// Bytes in the file; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A disk.
pub trait Vfs: Debug + Send + Sync {
    /// Makes a new, empty file for writing and reading. One of that name loses the name, and no byte: it may
    /// have another, in another store, and who has it open can go on reading.
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading and for appending behind its last byte.
    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading.
    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes the file. Who has it open can go on reading.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives the file a new name, atomically; a file that had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file a second name. Fails where the disk has no such thing; callers copy then.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The one path of what may have several: without links and dots, as far as it is there.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;

    /// What is in the directory, sorted by name. What comes or goes meanwhile may be in it or not; what stays
    /// is.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes one directory; its parent exists. Fails with `AlreadyExists` if it is there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in the directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks the directory against other processes and other handles; fails at once with
    /// `WouldBlock` if it is taken. Writes nothing.
    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>>;
}

/// An open file.
///
/// Any number of threads may read while one appends. There is one writer at a time; the caller sees
/// to that.
pub trait DiskFile: Debug + Send + Sync {
    /// Writes all the bytes behind the end. After an error any part of them may be in the file;
    /// `Interrupted` says that none is, and that asking again is right.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until everything that was appended before is on the device.
    fn sync(&self) -> io::Result<()>;

    /// Writes what stands from `from` to the end once more, as it is, so that the next sync takes it to the
    /// device whatever became of the syncs before. Where one has failed, a system may keep in memory what it
    /// could not write, and take it for written: who opens the file later reads it, and his sync finds nothing
    /// to do (Rebello et al., *Can Applications Recover from fsync Failures?*, ATC 2020). For those who open a
    /// log, before anybody else reads it.
    fn write_again(&self, from: u64) -> io::Result<()>;

    /// A disk that fails on purpose says that a sync has failed: a simulated one then knows that what was
    /// written since the last one will not be there after a power cut. Real ones are not told.
    fn lose_unsynced(&self) {}

    /// Makes sure that at least `bytes` zeros stand behind the end, so that the next appends change
    /// neither the file's size nor its blocks and a sync has less to do. [`DiskFile::len`] stays.
    fn reserve(&self, bytes: u64) -> io::Result<()>;

    /// Asks the system to begin writing what was appended, without waiting. A hint; nothing
    /// depends on it.
    fn start_writeback(&self) {}

    /// Cuts the file to `len` bytes, reserved zeros included; the next append goes there.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Bytes up to the end: the size at opening, and what was appended or cut since.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads at most `buf.len()` bytes at `offset`; fewer only at the end or when interrupted half
    /// way; 0 is the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Asks for the file's first `bytes` to be mapped into memory, so that reads need no call.
    /// Where that is not possible nothing changes.
    fn map(&self, _bytes: u64) {}

    /// The bytes themselves, if they are mapped and all of them lie before the end.
    fn mapped(&self, _offset: u64, _len: usize) -> Option<&[u8]> {
        None
    }
}

/// Fills `buf` from `offset` on: goes on after short reads and interruptions, and fails with
/// `UnexpectedEof` where the file ends first.
pub fn read_exact_at(file: &dyn DiskFile, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
