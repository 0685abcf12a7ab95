//! A disk on which somebody acts in the middle of a merge, a compaction or a checkpoint.

use kvs::survive::engine::Engine;
use kvs::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// When the intruder acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before a merge reads its first input.
    InputIsOpened,
    /// Before a merge makes its first output.
    OutputIsMade,
    /// When all outputs are written, before their names are synced and they are installed.
    OutputsAreWhole,
    /// Before a directory is locked.
    DirectoryIsLocked,
}

/// Passes everything on to another disk, and calls the intruder once, at its moment.
pub(crate) struct Intruded {
    inner: Arc<dyn Vfs>,
    when: When,
    act: Mutex<State>,
}

struct State {
    is_armed: bool,
    intruder: Option<Box<dyn FnOnce() + Send>>,
    merge_has_output: bool,
}

impl Intruded {
    pub(crate) fn new(inner: Arc<dyn Vfs>, when: When, intruder: impl FnOnce() + Send + 'static) -> Intruded {
        let intruder: Box<dyn FnOnce() + Send> = Box::new(intruder);
        let act = Mutex::new(State { is_armed: false, intruder: Some(intruder), merge_has_output: false });
        Intruded { inner, when, act }
    }

    /// The next such moment is the one; until this is said, none is.
    pub(crate) fn arm(&self) {
        let mut state = self.act.lock().unwrap();
        (state.is_armed, state.merge_has_output) = (true, false);
    }

    /// Whether the moment has come.
    pub(crate) fn has_acted(&self) -> bool {
        self.act.lock().unwrap().intruder.is_none()
    }

    fn reach(&self, when: When) {
        let mut state = self.act.lock().unwrap();
        let is_now =
            state.is_armed && when == self.when && (when != When::OutputsAreWhole || state.merge_has_output);
        state.merge_has_output |= when == When::OutputIsMade;
        let intruder = if is_now { state.intruder.take() } else { None };
        // Not locked: the intruder uses this disk too.
        drop(state);
        if let Some(intruder) = intruder {
            intruder();
        }
    }
}

impl fmt::Debug for Intruded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intruded").field("when", &self.when).finish_non_exhaustive()
    }
}

impl Vfs for Intruded {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        if Engine::is_rewrite(cause) {
            self.reach(When::OutputIsMade);
        }
        self.inner.create(path, cause)
    }

    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.append(path, cause)
    }

    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        if Engine::is_rewrite(cause) {
            self.reach(When::InputIsOpened);
        }
        self.inner.open(path, cause)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.real_path(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.reach(When::OutputsAreWhole);
        self.inner.sync_dir(dir)
    }

    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        self.reach(When::DirectoryIsLocked);
        self.inner.lock(dir, mode)
    }
}
