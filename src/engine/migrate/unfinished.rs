//! A store that is none before its end: made on a disk on which its identity file has another name. So
//! migrations and repairs make theirs.
//!
//! A directory without an identity file is no store, whatever else is in it. So an engine can make a whole
//! store on this disk, in its own way and with all its syncs, and nobody takes it for one; one rename of
//! one file, when all is there, makes it a store.

use crate::engine::claim::expect_empty;
use crate::engine::filename::{self, ENGINE, UNFINISHED};
use crate::engine::kind::EngineKind;
use crate::error::{Error, Result};
use crate::vfs::dir::Dir;
use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a store at `path`: `fill` makes, fills and closes it, on the disk that it is given. Under the
/// directory's lock; what a killed call left is cleared first.
///
/// # Errors
/// As [`check`]; [`Error::Locked`] while somebody else fills the directory; what `fill` fails with, and then all
/// that it made is cleared; [`Error::Io`] if the store's name can not be made durable: then all of the store is there,
/// and a crash may leave it without its name, which is to be cleared.
pub fn build<T>(disk: &Arc<dyn Vfs>, path: &Path, fill: impl FnOnce(Arc<dyn Vfs>) -> Result<T>) -> Result<T> {
    let dir = Dir::new(disk.clone(), path);
    check(disk, path)?;
    dir.create_all()?;
    let _lock = dir.lock(LockMode::Exclusive)?;
    // Again, and now nobody can come in between.
    check(disk, path)?;
    clear(&dir)?;
    match fill(Arc::new(UnfinishedDisk::new(disk.clone(), path))) {
        Ok(filled) => {
            dir.rename(UNFINISHED, ENGINE)?;
            dir.sync()?;
            Ok(filled)
        }
        Err(error) => {
            // What can not be cleared now is cleared by the next attempt.
            let _ = clear(&dir);
            Err(error)
        }
    }
}

/// Whether the directory may be filled: nothing in it is somebody's, or holds what was acknowledged.
///
/// # Errors
/// [`Error::InvalidArgument`] if it may not.
pub fn check(disk: &Arc<dyn Vfs>, path: &Path) -> Result<()> {
    let dir = Dir::new(disk.clone(), path);
    let entries = dir.list()?.unwrap_or_default();
    let is_ours = |name: &str| name == UNFINISHED || filename::parse(name).is_some();
    let is_leftover = match EngineKind::detect(disk.clone(), path) {
        // Killed before it had made an empty store.
        Ok(None) => true,
        Err(Error::Unfinished { .. }) => true,
        Ok(Some(_)) | Err(_) => false,
    };
    if is_leftover && entries.iter().all(|entry| is_ours(&entry.name)) {
        return Ok(());
    }
    expect_empty(&dir, &entries)
}

/// Removes what a killed call left. Its identity file goes last, durably: without it, what it was would not be
/// known.
fn clear(dir: &Dir) -> Result<()> {
    let entries = dir.list()?.unwrap_or_default();
    if entries.is_empty() {
        return Ok(());
    }
    entries.iter().filter(|entry| entry.name != UNFINISHED).try_for_each(|entry| dir.remove(&entry.name))?;
    dir.sync()?;
    if entries.iter().any(|entry| entry.name == UNFINISHED) {
        dir.remove(UNFINISHED)?;
        dir.sync()?;
    }
    Ok(())
}

/// A disk on which the identity file of one directory is called [`UNFINISHED`], and on which that
/// directory is not locked: [`build`] holds its lock all the time.
#[derive(Debug)]
struct UnfinishedDisk {
    inner: Arc<dyn Vfs>,
    dir: PathBuf,
}

impl UnfinishedDisk {
    fn new(inner: Arc<dyn Vfs>, dir: &Path) -> UnfinishedDisk {
        UnfinishedDisk { inner, dir: dir.to_path_buf() }
    }

    fn real<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        match path.parent() == Some(&*self.dir) && path.file_name() == Some(ENGINE.as_ref()) {
            true => Cow::Owned(self.dir.join(UNFINISHED)),
            false => Cow::Borrowed(path),
        }
    }
}

impl Vfs for UnfinishedDisk {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.create(&self.real(path), cause)
    }

    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.append(&self.real(path), cause)
    }

    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.open(&self.real(path), cause)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(&self.real(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(&self.real(from), &self.real(to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(&self.real(from), &self.real(to))
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.real_path(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = self.inner.list(dir)?;
        if dir == self.dir {
            let identity = entries.iter_mut().find(|entry| entry.name == UNFINISHED);
            identity.into_iter().for_each(|entry| entry.name = ENGINE.to_string());
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        match dir == self.dir {
            true => Ok(Box::new(Held)),
            false => self.inner.lock(dir, mode),
        }
    }
}

/// The lock that is held already.
#[derive(Debug)]
struct Held;

impl DirLock for Held {}
