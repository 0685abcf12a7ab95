//! The disk that a migration writes through: the new store's identity file has another name on it.
//!
//! A directory without an identity file is no store, whatever else is in it. So an engine can make a whole
//! store on this disk, in its own way and with all its syncs, and nobody takes it for one; one rename of
//! one file, when all is there, makes it a store.

use crate::engine::filename::{ENGINE, UNFINISHED};
use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk on which the identity file of one directory is called [`UNFINISHED`], and on which that
/// directory is not locked: who migrates holds its lock all the time.
#[derive(Debug)]
pub(super) struct UnfinishedDisk {
    inner: Arc<dyn Vfs>,
    dir: PathBuf,
}

impl UnfinishedDisk {
    pub(super) fn new(inner: Arc<dyn Vfs>, dir: &Path) -> UnfinishedDisk {
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
