//! The real disk: the only file that names `std::fs`, and the only one that maps files.
//!
//! Files are written with positioned writes and `fdatasync`, and read with positioned reads, or
//! through a read-only shared map where the engine asks for one: a get from a mapped file costs no
//! system call (measured in `notes/decisions/0006-mapped-reads.md`).
//!
//! Unix only: positioned reads, directory syncs and `flock` on a directory are what it stands on.

#![expect(clippy::disallowed_types, reason = "this is the file that touches the file system")]
#![expect(clippy::disallowed_methods, reason = "this is the file that touches the file system")]

use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs, read_exact_at};
use memmap2::{Mmap, MmapOptions};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Zeros are written ahead in pieces of this many bytes.
const ZEROS: usize = 256 << 10;

/// Bytes that are written again with one call.
const AGAIN: usize = 256 << 10;

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

/// What the system tells in a file that is no file of a disk and has no length, as those below `/proc`.
pub fn system_text(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

impl Vfs for OsDisk {
    fn create(&self, path: &Path, _: Cause) -> io::Result<Arc<dyn DiskFile>> {
        loop {
            match File::options().read(true).write(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => continue,
                },
                made => return OsFile::share(made?),
            }
        }
    }

    fn append(&self, path: &Path, _: Cause) -> io::Result<Arc<dyn DiskFile>> {
        OsFile::share(File::options().read(true).write(true).open(path)?)
    }

    fn open(&self, path: &Path, _: Cause) -> io::Result<Arc<dyn DiskFile>> {
        OsFile::share(File::open(path)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        let path = std::path::absolute(path)?;
        let real = path.ancestors().find_map(|level| Some((level, fs::canonicalize(level).ok()?)));
        Ok(match real {
            Some((level, real)) => real.join(path.strip_prefix(level).unwrap_or(Path::new(""))),
            None => path,
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let meta = match entry.metadata() {
                // Removed since the directory told of it. The directory itself is there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            let len = if meta.is_dir() { 0 } else { meta.len() };
            entries.push(DirEntry { name, len, is_dir: meta.is_dir() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// `flock` on the directory itself: there is no lock file that somebody could delete, a reader
    /// needs no right to write, and the lock dies with the process.
    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        let handle = File::open(dir)?;
        let locked = match mode {
            LockMode::Shared => handle.try_lock_shared(),
            LockMode::Exclusive => handle.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Box::new(OsLock { handle })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

#[derive(Debug)]
struct OsLock {
    handle: File,
}

impl DirLock for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing alone does not unlock while a child that another thread starts has a copy of the descriptor: for a
        // moment, until it runs its program. If this fails, closing does it then.
        let _ = self.handle.unlock();
    }
}

/// An open file, and its map if there is one.
#[derive(Debug)]
struct OsFile {
    file: File,
    /// The end: where the next append goes. Bytes below it do not change any more, but by
    /// [`DiskFile::truncate`].
    len: AtomicU64,
    /// Bytes that the file has, reserved zeros included.
    reserved: AtomicU64,
    map: OnceLock<Mmap>,
    syncs: Syncs,
}

/// The syncs of one file, one at a time. The system tells of a failed write once for each open file, and the next sync
/// succeeds: of two threads that sync, one would take for durable what is not. Here all syncs fail after the first
/// that does.
#[derive(Debug, Default)]
struct Syncs {
    failed: Mutex<Option<i32>>,
}

impl Syncs {
    fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // Whoever panicked has changed nothing.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match *failed {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => sync().inspect_err(|error| *failed = Some(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
}

impl OsFile {
    fn share(file: File) -> io::Result<Arc<dyn DiskFile>> {
        let len = file.metadata()?.len();
        Ok(Arc::new(OsFile {
            file,
            len: len.into(),
            reserved: len.into(),
            map: OnceLock::new(),
            syncs: Syncs::default(),
        }))
    }
}

impl DiskFile for OsFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let at = self.len.load(Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        let end = at + bytes.len() as u64;
        self.reserved.fetch_max(end, Ordering::Relaxed);
        // Release: who reads the new end may read the bytes below it, through the map too.
        self.len.store(end, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.run(|| self.file.sync_data())
    }

    fn write_again(&self, from: u64) -> io::Result<()> {
        let (mut at, end) = (from, self.len());
        let mut bytes = vec![0; AGAIN.min(end.saturating_sub(from) as usize)];
        while at < end {
            let n = bytes.len().min((end - at) as usize);
            read_exact_at(self, &mut bytes[..n], at)?;
            self.file.write_all_at(&bytes[..n], at)?;
            at += n as u64;
        }
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let want = self.len.load(Ordering::Relaxed) + bytes;
        let zeros = vec![0; ZEROS];
        while self.reserved.load(Ordering::Relaxed) < want {
            let at = self.reserved.load(Ordering::Relaxed);
            let n = ZEROS.min((want - at) as usize);
            self.file.write_all_at(&zeros[..n], at)?;
            self.reserved.store(at + n as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "sync_file_range has no safe wrapper in std")]
    fn start_writeback(&self) {
        use std::os::fd::AsRawFd;
        // SAFETY: a call on a descriptor that is open for as long as `self.file` lives; it takes no
        // pointers. Its result is a hint's: nothing depends on it.
        unsafe { libc::sync_file_range(self.file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        // The end first: nobody may look at mapped bytes that are about to go.
        self.len.fetch_min(len, Ordering::AcqRel);
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Release);
        self.reserved.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.len().saturating_sub(offset);
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_at(&mut buf[..want], offset)
    }

    #[expect(unsafe_code, reason = "a map is what saves the system call; see the proof")]
    fn map(&self, bytes: u64) {
        let Ok(bytes) = usize::try_from(bytes) else { return };
        if bytes == 0 || self.map.get().is_some() {
            return;
        }
        // SAFETY: a shared read-only map. It is dropped with `self`, and slices of it borrow
        // `self`. What must hold for `&[u8]` is that bytes handed out do not change or vanish while
        // they are borrowed:
        // 1. `mapped` hands out only bytes below `len`, and those never change: appends go behind
        //    them, and `write_again` is called by recovery before anything is read by others, and
        //    writes what is there.
        // 2. `map` may be asked for more than the file has yet; bytes beyond `len` are not handed
        //    out before an append has put them there (Release in `append`, Acquire in `len`), and
        //    Linux and macOS show appended pages in an existing shared map.
        // 3. `truncate` is called by recovery before anything is read by others, and at sealing for
        //    reserved zeros, which lie behind `len`.
        // 4. Another process that cuts or rewrites the file breaks this, as it would break LMDB:
        //    the directory lock keeps other instances out, and the documentation says so. Engines
        //    offer an option that reads without maps.
        if let Ok(map) = unsafe { MmapOptions::new().len(bytes).map(&self.file) } {
            // Point lookups: reading ahead would only fill the cache with other keys' values.
            let _ = map.advise(memmap2::Advice::Random);
            let _ = self.map.set(map);
        }
    }

    fn mapped(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let end = offset.checked_add(len as u64)?;
        if end > self.len() {
            return None;
        }
        self.map.get()?.get(offset as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::{File, OsDisk, OsLock};
    use crate::vfs::{Cause, LockMode, Vfs, read_exact_at};
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicBool, Ordering};

    // Two threads synced one file, the device failed, and the system told the one of it. The other took its writes for
    // durable.
    #[test]
    fn a_file_whose_sync_failed_is_never_synced_again() {
        let syncs = super::Syncs::default();
        syncs.run(|| Ok(())).unwrap();
        for _ in 0..2 {
            let error = syncs.run(|| Err(std::io::Error::from_raw_os_error(libc::EIO))).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            let error = syncs.run(|| Ok(())).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO), "it would say that all is well");
        }
    }

    #[test]
    fn a_file_that_grows_is_seen_through_its_map() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = OsDisk.create(&path, Cause::Log).unwrap();
        file.map(1 << 20);
        assert_eq!(file.mapped(0, 1), None, "nothing is there yet");
        for i in 0..100u32 {
            file.append(&i.to_le_bytes().repeat(999)).unwrap();
        }
        file.reserve(10_000).unwrap();
        assert_eq!(file.len(), 99 * 4 * 1000 + 3600);
        assert_eq!(file.mapped(3996 * 7, 4), Some(&7u32.to_le_bytes()[..]));
        assert_eq!(file.mapped(file.len() - 1, 2), None, "reserved zeros are not content");
        let mut buf = [0; 4];
        assert_eq!(file.read_at(&mut buf, file.len()).unwrap(), 0);
        file.truncate(3996).unwrap();
        assert_eq!(file.mapped(3996, 1), None);
        assert_eq!(read_exact_at(&*file, &mut buf, 3994).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(OsDisk.append(&path, Cause::Log).unwrap().len(), 3996);
    }

    // A file that was removed between its name and its length made the whole directory "not there". A writer
    // that found that twice took a store for an empty directory, and made a new one in its place.
    #[test]
    fn a_file_that_goes_while_a_directory_is_listed_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        OsDisk.create(&dir.path().join("stays"), Cause::Log).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let paths: Vec<_> = (0..50).map(|i| dir.path().join(format!("goes-{i}"))).collect();
                    paths.iter().for_each(|path| drop(OsDisk.create(path, Cause::Log).unwrap()));
                    paths.iter().for_each(|path| OsDisk.remove(path).unwrap());
                }
            });
            let lists: Vec<_> = (0..2000).map(|_| OsDisk.list(dir.path())).collect();
            is_over.store(true, Ordering::Relaxed);
            for list in lists {
                assert!(list.unwrap().iter().any(|entry| entry.name == "stays"));
            }
        });
    }

    // It was cut to nothing, under each of its names: a second store, made by links in the same directory as a
    // first, cut the live files of a third that the first shared them with.
    #[test]
    fn a_file_whose_name_is_taken_keeps_its_bytes_under_another() {
        let dir = tempfile::tempdir().unwrap();
        let [here, there] = ["here", "there"].map(|name| dir.path().join(name));
        OsDisk.create(&here, Cause::Log).unwrap().append(b"live").unwrap();
        OsDisk.link(&here, &there).unwrap();
        assert_eq!(OsDisk.create(&there, Cause::Log).unwrap().len(), 0);
        assert_eq!(OsDisk.open(&here, Cause::Read).unwrap().len(), 4);
        assert_eq!(OsDisk.create(dir.path(), Cause::Log).unwrap_err().kind(), ErrorKind::IsADirectory);
    }

    /// A store that was closed, and opened again, was sometimes locked: another thread was starting a process, which
    /// has copies of all descriptors until it runs its program. A test that failed now and then showed it.
    #[test]
    fn a_copy_of_the_descriptor_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let handle = File::open(dir.path()).unwrap();
        handle.try_lock().unwrap();
        let copy = handle.try_clone().unwrap();
        drop(OsLock { handle });
        OsDisk.lock(dir.path(), LockMode::Exclusive).unwrap();
        drop(copy);
    }

    #[test]
    fn the_lock_is_on_the_directory_itself() {
        let dir = tempfile::tempdir().unwrap();
        let writer = OsDisk.lock(dir.path(), LockMode::Exclusive).unwrap();
        for mode in [LockMode::Shared, LockMode::Exclusive] {
            assert_eq!(OsDisk.lock(dir.path(), mode).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        drop(writer);
        let _reader = OsDisk.lock(dir.path(), LockMode::Shared).unwrap();
        let _another = OsDisk.lock(dir.path(), LockMode::Shared).unwrap();
        assert!(OsDisk.lock(dir.path(), LockMode::Exclusive).is_err());
        assert!(OsDisk.list(dir.path()).unwrap().is_empty(), "locking writes nothing");
    }
}
