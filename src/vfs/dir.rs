//! One directory of one disk: what engines hold. Puts paths into errors, and replaces whole files
//! atomically.

use crate::error::{Error, Result};
use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs, read_exact_at};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ending of files that are being written and not yet in place. Opening a store removes them.
pub const TMP_SUFFIX: &str = ".tmp";

/// One directory of one disk. Clones are cheap and mean the same directory.
#[derive(Clone, Debug)]
pub struct Dir {
    vfs: Arc<dyn Vfs>,
    path: Arc<Path>,
}

impl Dir {
    /// The directory `path` of the disk `vfs`; it need not exist.
    pub fn new(vfs: Arc<dyn Vfs>, path: &Path) -> Dir {
        Dir { vfs, path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Another directory of the same disk.
    pub fn sibling(&self, path: &Path) -> Dir {
        Dir::new(self.vfs.clone(), path)
    }

    /// Makes the directory and what is missing above it. Each new level is made durable in its
    /// parent before the next one is made, and so is the innermost level that was found: an
    /// interrupted call may have made it and not lived to sync its parent.
    pub fn create_all(&self) -> Result<()> {
        let mut missing: Vec<&Path> = Vec::new();
        for level in self.path.ancestors().filter(|p| !p.as_os_str().is_empty()) {
            match retry(|| self.vfs.list(level)) {
                Ok(_) => {
                    self.sync_parent(level)?;
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(level),
                Err(e) => return Err(Error::io("open directory", level, e)),
            }
        }
        for level in missing.into_iter().rev() {
            match self.vfs.create_dir(level) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::io("create directory", level, e));
                }
                _ => self.sync_parent(level)?,
            }
        }
        Ok(())
    }

    /// Syncs the directory that holds `path`. One that may not be read is not ours to sync.
    fn sync_parent(&self, path: &Path) -> Result<()> {
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Ok(()),
        };
        match self.vfs.sync_dir(parent) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other.map_err(|e| Error::io("sync directory", parent, e)),
        }
    }

    /// What is in it, sorted by name; `None` if there is no such directory.
    pub fn list(&self) -> Result<Option<Vec<DirEntry>>> {
        match retry(|| self.vfs.list(&self.path)) {
            Ok(entries) => Ok(Some(entries)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("list", &self.path, e)),
        }
    }

    /// The same of a directory that must be there: one that is gone is an error, and not an empty one.
    pub fn entries(&self) -> Result<Vec<DirEntry>> {
        let gone = || Error::io("list", &self.path, io::ErrorKind::NotFound.into());
        self.list()?.ok_or_else(gone)
    }

    /// The files of a directory that must be there: what a store's may be.
    pub fn files(&self) -> Result<Vec<DirEntry>> {
        let mut entries = self.entries()?;
        entries.retain(|entry| !entry.is_dir);
        Ok(entries)
    }

    /// Keeps others out until the lock is dropped; [`Error::Locked`] at once if somebody is in.
    pub fn lock(&self, mode: LockMode) -> Result<Box<dyn DirLock>> {
        retry(|| self.vfs.lock(&self.path, mode)).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { path: self.path.to_path_buf() },
            _ => Error::io("lock", &self.path, e),
        })
    }

    /// A new, empty file; see [`Vfs::create`].
    pub fn create(&self, name: &str, cause: Cause) -> Result<File> {
        self.wrap("create", name, |path| self.vfs.create(path, cause))
    }

    /// An existing file, to append to; see [`Vfs::append`].
    pub fn append(&self, name: &str, cause: Cause) -> Result<File> {
        self.wrap("open", name, |path| self.vfs.append(path, cause))
    }

    /// An existing file, to read; see [`Vfs::open`].
    pub fn open(&self, name: &str, cause: Cause) -> Result<File> {
        self.wrap("open", name, |path| self.vfs.open(path, cause))
    }

    fn wrap(
        &self,
        op: &'static str,
        name: &str,
        open: impl Fn(&Path) -> io::Result<Arc<dyn DiskFile>>,
    ) -> Result<File> {
        let path = self.join(name);
        let inner = retry(|| open(&path)).map_err(|e| Error::io(op, &path, e))?;
        Ok(File { path: path.into(), inner })
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.join(name);
        self.vfs.remove(&path).map_err(|e| Error::io("remove", &path, e))
    }

    /// Gives a file another name, atomically.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let from = self.join(from);
        self.vfs.rename(&from, &self.join(to)).map_err(|e| Error::io("rename", &from, e))
    }

    /// Makes the names in the directory durable.
    pub fn sync(&self) -> Result<()> {
        self.vfs.sync_dir(&self.path).map_err(|e| Error::io("sync directory", &self.path, e))
    }

    /// Everything in a file; an error if it is longer than `limit` bytes.
    pub fn read(&self, name: &str, limit: u64, cause: Cause) -> Result<Vec<u8>> {
        let file = self.open(name, cause)?;
        let len = file.len();
        if len > limit {
            return Err(Error::corruption(&file.path, limit, format!("{len} bytes, more than {limit}")));
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Puts a whole file in place: after a crash there is the old one or the new one, never a mix.
    /// The bytes are synced before the name is taken, and the name before this returns.
    pub fn replace(&self, name: &str, bytes: &[u8], cause: Cause) -> Result<()> {
        self.begin_replacement(name, cause)?.finish(bytes)
    }

    /// Makes the file that will take the place of another, and has none of its bytes yet. After an error nothing
    /// was done.
    pub fn begin_replacement(&self, name: &str, cause: Cause) -> Result<Replacement> {
        let file = self.create(&format!("{name}{TMP_SUFFIX}"), cause)?;
        Ok(Replacement { dir: self.clone(), name: name.to_owned(), file })
    }

    /// Puts a file of this directory into `to`, by a hard link where the disk has them, else by
    /// copying and syncing `len` bytes. The file's content must not change any more, and `to` must have
    /// none of that name. The caller syncs the directory.
    pub fn link_or_copy(&self, name: &str, len: u64, to: &Dir) -> Result<()> {
        match self.vfs.link(&self.join(name), &to.join(name)) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(Error::io("link", &to.join(name), e)),
            Err(_) => self.copy(name, len, to, name),
        }
    }

    /// Copies the first `len` bytes of a file into `to` under another name, and syncs them. The
    /// caller syncs the directory.
    pub fn copy(&self, name: &str, len: u64, to: &Dir, new_name: &str) -> Result<()> {
        const CHUNK: u64 = 1 << 20;
        let source = self.open(name, Cause::Checkpoint)?;
        let target = to.create(new_name, Cause::Checkpoint)?;
        let mut buf = vec![0; CHUNK.min(len) as usize];
        let mut at = 0;
        while at < len {
            let n = CHUNK.min(len - at) as usize;
            source.read_exact_at(&mut buf[..n], at)?;
            target.append(&buf[..n])?;
            at += n as u64;
        }
        target.sync()
    }
}

/// A file that is about to take the place of another.
#[derive(Debug)]
pub struct Replacement {
    dir: Dir,
    name: String,
    file: File,
}

impl Replacement {
    /// Puts it in place with these bytes, as [`Dir::replace`] does.
    pub fn finish(self, bytes: &[u8]) -> Result<()> {
        let Replacement { dir, name, file } = self;
        file.append(bytes)?;
        file.sync()?;
        // Its descriptor is what the sync of the directory may be short of.
        drop(file);
        dir.rename(&format!("{name}{TMP_SUFFIX}"), &name)?;
        dir.sync()
    }
}

/// An open file that knows its path. Clones share the file.
#[derive(Clone, Debug)]
pub struct File {
    path: Arc<Path>,
    inner: Arc<dyn DiskFile>,
}

impl File {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// See [`DiskFile::append`]; interrupted calls are made again.
    pub fn append(&self, bytes: &[u8]) -> Result<()> {
        retry(|| self.inner.append(bytes)).map_err(|e| Error::io("append", &self.path, e))
    }

    /// See [`DiskFile::sync`]. Never made again after a failure, interruptions included.
    pub fn sync(&self) -> Result<()> {
        self.inner.sync().map_err(|e| Error::io("sync", &self.path, e))
    }

    /// See [`DiskFile::write_again`].
    pub fn write_again(&self, from: u64) -> Result<()> {
        retry(|| self.inner.write_again(from)).map_err(|e| Error::io("write", &self.path, e))
    }

    /// See [`DiskFile::reserve`].
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        retry(|| self.inner.reserve(bytes)).map_err(|e| Error::io("append", &self.path, e))
    }

    /// See [`DiskFile::start_writeback`].
    pub fn start_writeback(&self) {
        self.inner.start_writeback();
    }

    /// See [`DiskFile::truncate`].
    pub fn truncate(&self, len: u64) -> Result<()> {
        retry(|| self.inner.truncate(len)).map_err(|e| Error::io("truncate", &self.path, e))
    }

    /// See [`DiskFile::len`].
    #[expect(clippy::len_without_is_empty, reason = "a size, not a collection")]
    pub fn len(&self) -> u64 {
        self.inner.len()
    }

    /// Fills `buf`; a file that ends first is damaged, and the error says where.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read_exact_at(&*self.inner, buf, offset).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::corruption(&self.path, self.len().min(offset), "the file ends too early")
            }
            _ => Error::io("read", &self.path, e),
        })
    }

    /// See [`DiskFile::map`].
    pub fn map(&self, bytes: u64) {
        self.inner.map(bytes);
    }

    /// See [`DiskFile::mapped`].
    #[inline]
    pub fn mapped(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.inner.mapped(offset, len)
    }

    /// Damage in this file.
    pub fn corruption(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::corruption(&self.path, offset, reason)
    }
}

/// Asks again for as long as the answer is an interruption.
fn retry<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
