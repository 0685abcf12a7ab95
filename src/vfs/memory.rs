//! A disk in memory that records what is done to it.

pub mod image;
pub mod recording;

use crate::vfs::memory::image::{Content, Image};
use crate::vfs::memory::recording::{Base, FileId, Mark, Op, Recording};
use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs, read_exact_at};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a [`SimDisk`] keeps a log of what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// It does; what is on it now counts as durable.
    On,
    /// It does not.
    Off,
}

/// A disk in memory. Clones are handles to the same disk.
///
/// It behaves as the real one does while nothing crashes: a removed or replaced file stays readable
/// through handles that are open, each handle has its own end, reserved zeros are content for who
/// opens the file later. Nothing in it depends on time or chance.
///
/// It knows nothing of what is durable. It writes down each change and each sync, and
/// [`crash`](crate::vfs::crash) works out from that [`Recording`] what a power cut could have
/// left: record once, enumerate later.
///
/// Simpler than a file system: there are no permissions, paths are not resolved (`.` is dropped,
/// `..` is a name), directories are neither removed nor renamed, and a rename stays within its
/// directory (others are refused, as across devices), because nothing here needs more.
///
/// ```
/// use kvs::vfs::memory::SimDisk;
/// use kvs::vfs::{Cause, Vfs};
///
/// let disk = SimDisk::new();
/// disk.create("/log".as_ref(), Cause::Log)?.append(b"hello")?;
/// assert_eq!(disk.image().get("/log"), Some(&b"hello"[..]));
/// assert_eq!(disk.recording().ops().len(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    dirs: BTreeSet<Arc<Path>>,
    names: BTreeMap<Arc<Path>, Arc<Inode>>,
    next_file: u64,
    locks: BTreeMap<Arc<Path>, Held>,
    log: Option<Log>,
}

#[derive(Debug, Default)]
struct Log {
    base: Base,
    ops: Vec<Op>,
}

#[derive(Debug)]
struct Inode {
    id: FileId,
    /// Changed only under the lock of [`State`], so that the log has the order of the changes.
    content: RwLock<Content>,
}

#[derive(Debug)]
enum Held {
    Shared(usize),
    Exclusive,
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk that records.
    pub fn new() -> SimDisk {
        SimDisk::from_image(&Image::default(), Record::On)
    }

    /// A disk that holds this, all of it durable: what a process finds after the crash.
    pub fn from_image(image: &Image, record: Record) -> SimDisk {
        let mut state = State { dirs: image.dirs.clone(), ..State::default() };
        for (path, content) in &image.files {
            let inode = state.new_inode(content.clone());
            state.names.insert(path.clone(), inode);
        }
        let disk = SimDisk { state: Arc::new(Mutex::new(state)) };
        disk.record(record);
        disk
    }

    /// Begins a new recording, with what is on the disk now as its durable base, or stops recording
    /// and forgets the log.
    pub fn record(&self, record: Record) {
        let mut state = self.state.lock();
        state.log = match record {
            Record::On => Some(Log { base: state.base(), ops: Vec::new() }),
            Record::Off => None,
        };
    }

    /// What was done since recording began; empty if it is off.
    pub fn recording(&self) -> Recording {
        let state = self.state.lock();
        match &state.log {
            Some(log) => Recording::new(log.base.clone(), log.ops.clone()),
            None => Recording::new(state.base(), Vec::new()),
        }
    }

    /// Says something in the log.
    pub fn mark(&self, mark: Mark) {
        self.state.lock().log(|| Op::Mark(mark));
    }

    /// What is on the disk now: what a process finds that is started after this one was killed.
    pub fn image(&self) -> Image {
        let state = self.state.lock();
        let files = state.names.iter().map(|(path, inode)| (path.clone(), inode.content.read().clone()));
        Image { dirs: state.dirs.clone(), files: files.collect() }
    }

    fn open_file(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state.lock().file(&plain(path))?.clone();
        let end = AtomicU64::new(inode.content.read().len() as u64);
        Ok(Arc::new(SimFile { disk: self.clone(), inode, mode, end }))
    }
}

impl State {
    fn base(&self) -> Base {
        Base {
            dirs: self.dirs.clone(),
            names: self.names.iter().map(|(path, inode)| (path.clone(), inode.id)).collect(),
            files: self.names.values().map(|inode| (inode.id, inode.content.read().clone())).collect(),
        }
    }

    fn log(&mut self, op: impl FnOnce() -> Op) {
        if let Some(log) = &mut self.log {
            log.ops.push(op());
        }
    }

    fn new_inode(&mut self, content: Content) -> Arc<Inode> {
        let id = FileId(self.next_file);
        self.next_file += 1;
        Arc::new(Inode { id, content: RwLock::new(content) })
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || path == Path::new("/") || self.dirs.contains(path)
    }

    /// The directory, which must be there.
    fn dir(&self, path: &Path) -> io::Result<()> {
        if self.is_dir(path) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// The file of this name, which must be there.
    fn file(&self, path: &Path) -> io::Result<&Arc<Inode>> {
        match self.names.get(path) {
            Some(inode) => Ok(inode),
            None if self.is_dir(path) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Whether a file may have this name: its directory is there, and no directory is called so.
    fn nameable(&self, path: &Path) -> io::Result<()> {
        if self.is_dir(path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.dir(path.parent().unwrap_or(Path::new("")))
    }

    /// Whether the name is free, and its directory is there.
    fn free(&self, path: &Path) -> io::Result<()> {
        if self.is_dir(path) || self.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.nameable(path)
    }

    fn unlock(&mut self, dir: &Path) {
        match self.locks.get_mut(dir) {
            Some(Held::Shared(holders)) if *holders > 1 => *holders -= 1,
            _ => drop(self.locks.remove(dir)),
        }
    }
}

/// The path without its `.` parts, so that each file has one spelling.
fn plain(path: &Path) -> Arc<Path> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().into()
}

impl Vfs for SimDisk {
    fn create(&self, path: &Path, _: Cause) -> io::Result<Arc<dyn DiskFile>> {
        let path = plain(path);
        let mut state = self.state.lock();
        state.nameable(&path)?;
        let inode = state.new_inode(Content::default());
        state.log(|| Op::Create { path: path.clone(), file: inode.id });
        state.names.insert(path, inode.clone());
        Ok(Arc::new(SimFile { disk: self.clone(), inode, mode: Mode::Write, end: AtomicU64::new(0) }))
    }

    fn append(&self, path: &Path, _: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.open_file(path, Mode::Write)
    }

    fn open(&self, path: &Path, _: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.open_file(path, Mode::Read)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut state = self.state.lock();
        let file = state.file(&path)?.id;
        state.names.remove(&path);
        state.log(|| Op::Remove { path, file });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (plain(from), plain(to));
        let mut state = self.state.lock();
        let inode = state.file(&from)?.clone();
        state.nameable(&to)?;
        if from.parent() != to.parent() {
            return Err(ErrorKind::CrossesDevices.into());
        }
        if state.names.get(&to).is_some_and(|there| there.id == inode.id) {
            return Ok(()); // POSIX: two names of one file stay as they are.
        }
        state.names.remove(&from);
        state.names.insert(to.clone(), inode.clone());
        state.log(|| Op::Rename { from, to, file: inode.id });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (plain(from), plain(to));
        let mut state = self.state.lock();
        let inode = state.file(&from)?.clone();
        state.free(&to)?;
        state.names.insert(to.clone(), inode.clone());
        state.log(|| Op::Link { from, to, file: inode.id });
        Ok(())
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(plain(path).to_path_buf())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = plain(dir);
        let state = self.state.lock();
        state.dir(&dir)?;
        let inside = |path: &Path| match path.parent() {
            Some(parent) if *parent == *dir => path.file_name()?.to_str().map(str::to_owned),
            _ => None,
        };
        let mut entries = Vec::new();
        for path in &state.dirs {
            entries.extend(inside(path).map(|name| DirEntry { name, len: 0, is_dir: true }));
        }
        for (path, inode) in &state.names {
            let len = || inode.content.read().len() as u64;
            entries.extend(inside(path).map(|name| DirEntry { name, len: len(), is_dir: false }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = plain(dir);
        let mut state = self.state.lock();
        state.free(&dir)?;
        state.dirs.insert(dir.clone());
        state.log(|| Op::CreateDir { dir });
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = plain(dir);
        let mut state = self.state.lock();
        state.dir(&dir)?;
        state.log(|| Op::SyncDir { dir });
        Ok(())
    }

    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        let dir = plain(dir);
        let mut state = self.state.lock();
        state.dir(&dir)?;
        match (state.locks.get_mut(&dir), mode) {
            (None, LockMode::Shared) => drop(state.locks.insert(dir.clone(), Held::Shared(1))),
            (None, LockMode::Exclusive) => drop(state.locks.insert(dir.clone(), Held::Exclusive)),
            (Some(Held::Shared(holders)), LockMode::Shared) => *holders += 1,
            _ => return Err(ErrorKind::WouldBlock.into()),
        }
        Ok(Box::new(SimLock { disk: self.clone(), dir }))
    }
}

/// A lock that is released when it is dropped.
#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    dir: Arc<Path>,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state.lock().unlock(&self.dir);
    }
}

/// What a handle was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
}

/// An open file. Its end is its own, as that of the real disk's handles is.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Arc<Inode>,
    mode: Mode,
    end: AtomicU64,
}

impl SimFile {
    /// Changes the bytes and logs it, under one lock.
    fn change(&self, op: impl FnOnce() -> Op, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.mode == Mode::Read {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let mut state = self.disk.state.lock();
        state.log(op);
        change(self.inode.content.write().make_mut());
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (file, offset) = (self.inode.id, self.len());
        if bytes.is_empty() {
            return Ok(());
        }
        self.change(
            || Op::Append { file, offset, bytes: bytes.into() },
            |content| write_at(content, offset as usize, bytes),
        )?;
        self.end.store(offset + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state.lock().log(|| Op::Sync { file: self.inode.id });
        Ok(())
    }

    fn write_again(&self, from: u64) -> io::Result<()> {
        let mut bytes = vec![0; self.len().saturating_sub(from) as usize];
        if bytes.is_empty() {
            return Ok(());
        }
        read_exact_at(self, &mut bytes, from)?;
        let op = || Op::WriteAgain { file: self.inode.id, offset: from, bytes: bytes.into() };
        self.change(op, |_| ())
    }

    fn lose_unsynced(&self) {
        self.disk.state.lock().log(|| Op::SyncFailed { file: self.inode.id });
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let want = self.len() + bytes;
        let offset = self.inode.content.read().len() as u64;
        if want <= offset {
            return Ok(());
        }
        self.change(
            || Op::Reserve { file: self.inode.id, offset, len: want - offset },
            |content| content.resize(want as usize, 0),
        )
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let op = || Op::Truncate { file: self.inode.id, len };
        self.change(op, |content| content.resize(len as usize, 0))?;
        self.end.store(len, Ordering::Release);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.inode.content.read();
        let end = (self.len() as usize).min(content.len());
        let start = usize::try_from(offset).unwrap_or(end).min(end);
        let n = buf.len().min(end - start);
        buf[..n].copy_from_slice(&content[start..start + n]);
        Ok(n)
    }
}

/// Writes over what is there; a gap before `offset` becomes zeros.
pub(in crate::vfs) fn write_at(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if offset == content.len() {
        content.extend_from_slice(bytes);
        return;
    }
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::{Record, SimDisk};
    use crate::vfs::memory::recording::{FileId, Forget, Mark, Op};
    use crate::vfs::os::OsDisk;
    use crate::vfs::{Cause, DiskFile, LockMode, Vfs};
    use std::fmt::Write;
    use std::io::ErrorKind;
    use std::path::Path;

    fn read(file: &dyn DiskFile) -> String {
        let mut buf = [0; 64];
        let n = file.read_at(&mut buf, 0).unwrap();
        buf[..n].escape_ascii().to_string()
    }

    /// Everything that a caller can see, as text: the same on every disk.
    fn story(disk: &dyn Vfs, root: &Path) -> String {
        let mut out = String::new();
        let at = |name: &str| root.join(name);
        let kind = |e: std::io::Error| e.kind();
        let log = disk.create(&at("log"), Cause::Log).unwrap();
        log.append(b"hello ").unwrap();
        log.reserve(4).unwrap();
        let reader = disk.open(&at("log"), Cause::Log).unwrap();
        let again = disk.append(&at("log"), Cause::Log).unwrap();
        log.append(b"you").unwrap();
        log.append(b"").unwrap();
        for file in [&log, &reader, &again] {
            writeln!(out, "{} {}", file.len(), read(&**file)).unwrap();
        }
        again.truncate(8).unwrap();
        again.append(b"!").unwrap();
        writeln!(out, "{} {} {}", again.len(), read(&*again), log.is_empty()).unwrap();
        writeln!(out, "{:?}", again.read_at(&mut [0; 4], 999).unwrap()).unwrap();
        writeln!(out, "{}", reader.append(b"x").is_err()).unwrap();
        again.truncate(12).unwrap();
        writeln!(out, "{} {}", again.len(), read(&*again)).unwrap();

        let other = disk.create(&at("other"), Cause::Log).unwrap();
        other.append(b"other").unwrap();
        disk.rename(&at("other"), &at("log")).unwrap();
        writeln!(out, "{} {}", read(&*again), read(&*disk.open(&at("log"), Cause::Log).unwrap())).unwrap();
        disk.link(&at("log"), &at("second")).unwrap();
        disk.rename(&at("log"), &at("second")).unwrap();
        disk.remove(&at("log")).unwrap();
        other.append(b"wise").unwrap();
        writeln!(out, "{}", read(&*disk.open(&at("second"), Cause::Log).unwrap())).unwrap();
        disk.create(&at("second"), Cause::Log).unwrap();
        disk.create_dir(&at("dir")).unwrap();
        disk.create(&at("dir/inside"), Cause::Log).unwrap();
        disk.sync_dir(root).unwrap();
        writeln!(out, "{:?}", disk.list(root).unwrap()).unwrap();
        writeln!(out, "{:?}", disk.list(&at("dir")).unwrap()).unwrap();

        let fails = [
            disk.open(&at("none"), Cause::Log).map(drop).map_err(kind),
            disk.append(&at("none"), Cause::Log).map(drop).map_err(kind),
            disk.create(&at("none/a"), Cause::Log).map(drop).map_err(kind),
            disk.create(&at("dir"), Cause::Log).map(drop).map_err(kind),
            disk.remove(&at("none")).map_err(kind),
            disk.rename(&at("none"), &at("a")).map_err(kind),
            disk.link(&at("second"), &at("dir")).map_err(kind),
            disk.create_dir(&at("dir")).map_err(kind),
            disk.create_dir(&at("second")).map_err(kind),
            disk.create_dir(&at("none/a")).map_err(kind),
            disk.list(&at("none")).map(drop).map_err(kind),
            disk.sync_dir(&at("none")).map_err(kind),
            disk.lock(&at("none"), LockMode::Shared).map(drop).map_err(kind),
        ];
        write!(out, "{fails:?}").unwrap();
        out
    }

    #[test]
    fn it_behaves_as_the_real_disk_does() {
        let dir = tempfile::tempdir().unwrap();
        let sim = SimDisk::new();
        sim.create_dir(Path::new("store")).unwrap();
        assert_eq!(story(&sim, Path::new("./store")), story(&OsDisk, dir.path()));
    }

    #[test]
    fn files_that_have_no_name_any_more_stay_readable() {
        let disk = SimDisk::new();
        let file = disk.create("/a".as_ref(), Cause::Log).unwrap();
        file.append(b"still here").unwrap();
        let reader = disk.open("/a".as_ref(), Cause::Log).unwrap();
        disk.remove("/a".as_ref()).unwrap();
        disk.create("/a".as_ref(), Cause::Log).unwrap();
        file.append(b"!").unwrap();
        assert_eq!((read(&*reader), read(&*file)), ("still here".into(), "still here!".into()));
        assert_eq!(disk.image().get("/a"), Some(&b""[..]));
    }

    #[test]
    fn locks_are_per_directory_and_end_when_dropped() {
        let disk = SimDisk::new();
        disk.create_dir("/a".as_ref()).unwrap();
        let other = disk.clone();
        let writer = disk.lock("/a".as_ref(), LockMode::Exclusive).unwrap();
        for mode in [LockMode::Shared, LockMode::Exclusive] {
            assert_eq!(other.lock("/a/.".as_ref(), mode).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        drop(other.lock("/".as_ref(), LockMode::Exclusive).unwrap());
        drop(writer);
        let first = disk.lock("/a".as_ref(), LockMode::Shared).unwrap();
        let second = other.lock("/a".as_ref(), LockMode::Shared).unwrap();
        drop(first);
        assert!(disk.lock("/a".as_ref(), LockMode::Exclusive).is_err());
        drop(second);
        assert!(disk.lock("/a".as_ref(), LockMode::Exclusive).is_ok());
        assert_eq!(disk.recording().ops().len(), 1, "locking changes nothing");
    }

    #[test]
    fn the_log_says_what_was_done_and_where() {
        let disk = SimDisk::new();
        disk.mark(Mark::Issue(1));
        let file = disk.create("a.tmp".as_ref(), Cause::Log).unwrap();
        file.append(b"12").unwrap();
        file.reserve(8).unwrap();
        file.append(b"34").unwrap();
        file.reserve(2).unwrap();
        file.truncate(4).unwrap();
        file.sync().unwrap();
        disk.rename("a.tmp".as_ref(), "a".as_ref()).unwrap();
        file.sync().unwrap();
        disk.sync_dir(".".as_ref()).unwrap();
        let mut recording = disk.recording();
        let said: Vec<_> = (0..recording.ops().len()).map(|i| recording.describe(i)).collect();
        let expected = [
            "Issue(1)",
            "create a.tmp",
            "append 2 bytes at 0 to a.tmp",
            "reserve 8 bytes at 2 in a.tmp",
            "append 2 bytes at 2 to a.tmp",
            "truncate a.tmp to 4",
            "sync a.tmp",
            "rename a.tmp to a",
            "sync a.tmp",
            "sync directory ",
        ];
        assert_eq!(said, expected);
        assert_eq!(
            recording.ops()[7],
            Op::Rename { from: Path::new("a.tmp").into(), to: Path::new("a").into(), file: FileId(0) }
        );

        let first = Forget::FileSync { ends_with: "a.tmp".into(), nth: Some(0) };
        assert_eq!(recording.clone().forget(&first), 1);
        assert_eq!(recording.clone().forget(&Forget::file_syncs("a.tmp")), 2, "first names count");
        assert_eq!(recording.clone().forget(&Forget::file_syncs("a")), 1, "and present ones");
        assert_eq!(recording.clone().forget(&Forget::dir_syncs("")), 1);
        assert_eq!(recording.forget(&Forget::file_syncs("b")), 0);
        recording.forget(&first);
        assert_eq!(recording.ops()[6], Op::Mark(Mark::Note("left out: sync a.tmp".into())));
    }

    #[test]
    fn a_disk_made_of_an_image_begins_anew() {
        let disk = SimDisk::new();
        disk.create_dir("/d".as_ref()).unwrap();
        disk.create("/d/a".as_ref(), Cause::Log).unwrap().append(b"x").unwrap();
        let image = disk.image();
        let quiet = SimDisk::from_image(&image, Record::Off);
        quiet.append("/d/a".as_ref(), Cause::Log).unwrap().append(b"y").unwrap();
        assert!(quiet.recording().ops().is_empty());
        assert_eq!(image.get("/d/a"), Some(&b"x"[..]), "the image is a value");
        quiet.record(Record::On);
        quiet.remove("/d/a".as_ref()).unwrap();
        let recording = quiet.recording();
        assert_eq!(recording.ops().len(), 1);
        let base = recording.base();
        assert_eq!(base.files[&base.names[Path::new("/d/a")]][..], *b"xy");
        assert_eq!(SimDisk::from_image(&quiet.image(), Record::On).image(), quiet.image());
    }
}
