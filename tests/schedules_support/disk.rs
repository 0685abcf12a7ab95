//! A disk whose every operation is a step of the schedule: another thread may go on before it.

use kvs::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Any disk, one step at a time.
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    inner: Arc<dyn Vfs>,
    steps: Arc<AtomicU64>,
}

#[derive(Debug)]
struct SteppedFile {
    inner: Arc<dyn DiskFile>,
    steps: Arc<AtomicU64>,
}

impl Stepped {
    pub(crate) fn new(inner: Arc<dyn Vfs>) -> Arc<Stepped> {
        Arc::new(Stepped { inner, steps: Arc::default() })
    }

    fn step(&self) -> &dyn Vfs {
        self.steps.fetch_add(1, Ordering::Relaxed);
        &*self.inner
    }

    fn file(&self, file: io::Result<Arc<dyn DiskFile>>) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SteppedFile { inner: file?, steps: self.steps.clone() }))
    }
}

impl SteppedFile {
    fn step(&self) -> &dyn DiskFile {
        self.steps.fetch_add(1, Ordering::Relaxed);
        &*self.inner
    }
}

impl Vfs for Stepped {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.file(self.step().create(path, cause))
    }
    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.file(self.step().append(path, cause))
    }
    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.file(self.step().open(path, cause))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().link(from, to)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.step().real_path(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.step().list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.step().create_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step().sync_dir(dir)
    }
    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        self.step().lock(dir, mode)
    }
}

impl DiskFile for SteppedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.step().append(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.step().sync()
    }
    fn write_again(&self, from: u64) -> io::Result<()> {
        self.step().write_again(from)
    }
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.step().reserve(bytes)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.step().truncate(len)
    }
    fn len(&self) -> u64 {
        self.inner.len()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.step().read_at(buf, offset)
    }
}
