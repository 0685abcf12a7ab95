//! A disk that fails when it is told to.

use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An operation of a disk or of a file on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are called as the disk's verbs are")]
pub enum Call {
    Create,
    /// Opening a file to append to it.
    OpenAppend,
    Open,
    Remove,
    Rename,
    Link,
    List,
    CreateDir,
    SyncDir,
    Lock,
    Append,
    Sync,
    /// Writing once more what is there.
    WriteAgain,
    Reserve,
    Truncate,
    Read,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Create => "create",
            Call::OpenAppend => "open to append",
            Call::Open => "open",
            Call::Remove => "remove",
            Call::Rename => "rename",
            Call::Link => "link",
            Call::List => "list",
            Call::CreateDir => "create directory",
            Call::SyncDir => "sync directory",
            Call::Lock => "lock",
            Call::Append => "append",
            Call::Sync => "sync",
            Call::WriteAgain => "write again",
            Call::Reserve => "reserve",
            Call::Truncate => "truncate",
            Call::Read => "read",
        })
    }
}

/// What a system says when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// EIO: the device failed.
    Io,
    /// ENOSPC: it is full.
    NoSpace,
    /// EMFILE: the process has too many files open.
    TooManyFiles,
    /// EINTR: a signal came; nothing was done, and asking again is right. A sticky rule gives it
    /// only once, because who rightly asks again would ask for ever.
    Interrupted,
    /// EACCES: the caller has no right to.
    Denied,
    /// EROFS: nothing may be written here.
    ReadOnly,
    /// ENOENT: there is no such file or directory.
    Missing,
}

impl Errno {
    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Errno::Io => libc::EIO,
            Errno::NoSpace => libc::ENOSPC,
            Errno::TooManyFiles => libc::EMFILE,
            Errno::Interrupted => libc::EINTR,
            Errno::Denied => libc::EACCES,
            Errno::ReadOnly => libc::EROFS,
            Errno::Missing => libc::ENOENT,
        })
    }
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing is done.
    Fail(Errno),
    /// It is done by half: an append writes the first half of its bytes and fails; a read returns
    /// half of what it might, which is no error. Everything else just fails.
    Short(Errno),
}

/// Which operation a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// The one with this index, as [`FaultDisk::trace`] counts them.
    Index(u64),
    /// Among the operations after the rule was given that match, the one with this number.
    Match {
        /// What is asked for; `None` is anything.
        call: Option<Call>,
        /// How the path ends; `""` is any. Of a rename or link, either path.
        ends_with: String,
        /// The how manieth, from 0.
        nth: u64,
    },
}

impl At {
    /// The first operation of this kind on a path that ends like this.
    pub fn first(call: Call, ends_with: &str) -> At {
        At::nth(call, ends_with, 0)
    }

    /// The operation of this kind and ending with this number, from 0.
    pub fn nth(call: Call, ends_with: &str, nth: u64) -> At {
        At::Match { call: Some(call), ends_with: ends_with.to_owned(), nth }
    }
}

/// How long a rule holds once its operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// For that one operation.
    Once,
    /// For all later operations that match too (every operation, if the rule gives an index), until
    /// [`FaultDisk::heal`].
    Sticky,
}

/// One operation that was asked of a [`FaultDisk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Its number, from 0.
    pub index: u64,
    /// What was asked for.
    pub call: Call,
    /// Of what; of a rename or link, the old name.
    pub path: Arc<Path>,
    /// Whether a rule made it fail or fall short.
    pub faulted: bool,
}

#[derive(Debug)]
struct Rule {
    at: At,
    fault: Fault,
    lasting: Lasting,
    matched: u64,
    on: bool,
}

impl Rule {
    /// What the rule does to this operation. Each operation is shown to each rule once, in order.
    fn apply(&mut self, index: u64, asked: Call, paths: &[&Path]) -> Option<Fault> {
        let hit = match &self.at {
            At::Index(at) => index == *at || (self.on && index > *at),
            At::Match { call, ends_with, nth } => {
                let ends = |path: &&Path| path.as_os_str().as_encoded_bytes().ends_with(ends_with.as_bytes());
                let matches = call.is_none_or(|call| call == asked) && paths.iter().any(ends);
                let number = self.matched;
                self.matched += u64::from(matches);
                matches && (number == *nth || (self.on && number > *nth))
            }
        };
        let endless =
            matches!(self.fault, Fault::Fail(Errno::Interrupted) | Fault::Short(Errno::Interrupted));
        self.on |= hit && self.lasting == Lasting::Sticky && !endless;
        hit.then_some(self.fault)
    }
}

/// A disk that passes everything on to another one, counts it, and fails when its rules say so.
/// Clones share rules and count.
///
/// To try every place at which something can fail: run once without rules, read
/// [`FaultDisk::operations`], then run again for each index with [`FaultDisk::fail_at`].
///
/// What it keeps true:
///
/// 1. An operation that fails does not reach the disk below, but for the first half of a short
///    append. (The file's end is then behind that half. The real disk's is not; since the contract
///    leaves it open, cut the file to a length that you know before you append again.)
/// 2. What was written to a file since its last sync is lost to the device when a sync fails, and stays there
///    for all who read it: later syncs, through whatever handle, succeed and do not bring it back, as on
///    systems that take pages for clean that they could not write. Who asks again and believes the answer
///    loses data in the next power cut, and so does a process that comes later, unless it writes what it
///    found once more ([`DiskFile::write_again`]).
/// 3. Files are never mapped, so that each read can fail.
///
/// Hints ([`DiskFile::start_writeback`]) and lengths are passed on and not counted.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    inner: Arc<dyn Vfs>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    trace: Vec<Traced>,
    rules: Vec<Rule>,
    faults: u64,
}

impl FaultDisk {
    /// `inner`, which never fails until a rule says so.
    pub fn new(inner: Arc<dyn Vfs>) -> FaultDisk {
        FaultDisk { inner, plan: Arc::default() }
    }

    /// Adds a rule. Of several that meet one operation, the first decides.
    pub fn rule(&self, at: At, fault: Fault, lasting: Lasting) {
        let rule = Rule { at, fault, lasting, matched: 0, on: false };
        self.plan.lock().rules.push(rule);
    }

    /// Makes the operation with this index fail, and only that one.
    pub fn fail_at(&self, index: u64, errno: Errno) {
        self.rule(At::Index(index), Fault::Fail(errno), Lasting::Once);
    }

    /// Takes all rules back: the disk works again. What a failed sync has lost stays lost.
    pub fn heal(&self) {
        self.plan.lock().rules.clear();
    }

    /// How many operations were asked for.
    pub fn operations(&self) -> u64 {
        self.plan.lock().trace.len() as u64
    }

    /// How many of them failed or fell short because of a rule. A test that expects a fault should
    /// see that it came.
    pub fn faults(&self) -> u64 {
        self.plan.lock().faults
    }

    /// Every operation that was asked for, in order.
    pub fn trace(&self) -> Vec<Traced> {
        self.plan.lock().trace.clone()
    }

    /// Counts an operation; what the rules do to it.
    fn meet(&self, call: Call, paths: &[&Path]) -> Option<Fault> {
        let mut plan = self.plan.lock();
        let index = plan.trace.len() as u64;
        // Every rule sees every operation, or its count would depend on the others.
        let met: Vec<Option<Fault>> =
            plan.rules.iter_mut().map(|rule| rule.apply(index, call, paths)).collect();
        let fault = met.into_iter().flatten().next();
        plan.faults += u64::from(fault.is_some());
        plan.trace.push(Traced { index, call, path: paths[0].into(), faulted: fault.is_some() });
        fault
    }

    /// Counts an operation that is done or not.
    fn ask(&self, call: Call, paths: &[&Path]) -> io::Result<()> {
        match self.meet(call, paths) {
            Some(Fault::Fail(errno) | Fault::Short(errno)) => Err(errno.error()),
            None => Ok(()),
        }
    }

    fn wrap(&self, path: &Path, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile { disk: self.clone(), path: path.into(), inner })
    }
}

impl Vfs for FaultDisk {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.ask(Call::Create, &[path])?;
        Ok(self.wrap(path, self.inner.create(path, cause)?))
    }

    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.ask(Call::OpenAppend, &[path])?;
        Ok(self.wrap(path, self.inner.append(path, cause)?))
    }

    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        self.ask(Call::Open, &[path])?;
        Ok(self.wrap(path, self.inner.open(path, cause)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.ask(Call::Remove, &[path])?;
        self.inner.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask(Call::Rename, &[from, to])?;
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask(Call::Link, &[from, to])?;
        self.inner.link(from, to)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.real_path(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.ask(Call::List, &[dir])?;
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.ask(Call::CreateDir, &[dir])?;
        self.inner.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.ask(Call::SyncDir, &[dir])?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        self.ask(Call::Lock, &[dir])?;
        self.inner.lock(dir, mode)
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    path: Arc<Path>,
    inner: Arc<dyn DiskFile>,
}

impl DiskFile for FaultFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        match self.disk.meet(Call::Append, &[&self.path]) {
            None => self.inner.append(bytes),
            Some(Fault::Fail(errno)) => Err(errno.error()),
            Some(Fault::Short(errno)) => {
                // An interruption says that nothing was written.
                if errno != Errno::Interrupted {
                    self.inner.append(&bytes[..bytes.len() / 2])?;
                }
                Err(errno.error())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.ask(Call::Sync, &[&self.path]).inspect_err(|_| self.inner.lose_unsynced())?;
        self.inner.sync()
    }

    fn write_again(&self, from: u64) -> io::Result<()> {
        self.disk.ask(Call::WriteAgain, &[&self.path])?;
        self.inner.write_again(from)
    }

    fn lose_unsynced(&self) {
        self.inner.lose_unsynced();
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.disk.ask(Call::Reserve, &[&self.path])?;
        self.inner.reserve(bytes)
    }

    fn start_writeback(&self) {
        self.inner.start_writeback();
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.ask(Call::Truncate, &[&self.path])?;
        self.inner.truncate(len)
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.disk.meet(Call::Read, &[&self.path]) {
            None => self.inner.read_at(buf, offset),
            Some(Fault::Fail(errno)) => Err(errno.error()),
            // At least one byte: none would say that the file ends here.
            Some(Fault::Short(_)) => {
                let half = buf.len().div_ceil(2);
                self.inner.read_at(&mut buf[..half], offset)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Call, Errno, Fault, FaultDisk, Lasting};
    use crate::vfs::crash::power_cut;
    use crate::vfs::memory::SimDisk;
    use crate::vfs::memory::recording::Op;
    use crate::vfs::{Cause, LockMode, Vfs, read_exact_at};
    use std::io::{self, ErrorKind};
    use std::sync::Arc;

    fn disk() -> (SimDisk, FaultDisk) {
        let sim = SimDisk::new();
        (sim.clone(), FaultDisk::new(Arc::new(sim)))
    }

    /// One of everything.
    fn story(disk: &FaultDisk) -> io::Result<()> {
        disk.create_dir("/d".as_ref())?;
        let _lock = disk.lock("/d".as_ref(), LockMode::Exclusive)?;
        let file = disk.create("/d/a.tmp".as_ref(), Cause::Log)?;
        file.append(b"hello")?;
        file.reserve(8)?;
        file.truncate(5)?;
        file.write_again(2)?;
        file.sync()?;
        disk.rename("/d/a.tmp".as_ref(), "/d/a".as_ref())?;
        disk.sync_dir("/d".as_ref())?;
        disk.append("/d/a".as_ref(), Cause::Log)?;
        read_exact_at(&*disk.open("/d/a".as_ref(), Cause::Log)?, &mut [0; 5], 0)?;
        disk.link("/d/a".as_ref(), "/d/b".as_ref())?;
        disk.list("/d".as_ref())?;
        disk.remove("/d/b".as_ref())
    }

    #[test]
    fn each_operation_can_fail_and_then_does_nothing() {
        let (_, whole) = disk();
        story(&whole).unwrap();
        let trace = whole.trace();
        let calls: Vec<_> = trace.iter().map(|op| op.call).collect();
        use Call::*;
        let expected = [
            CreateDir, Lock, Create, Append, Reserve, Truncate, WriteAgain, Sync, Rename, SyncDir,
            OpenAppend, Open, Read, Link, List, Remove,
        ];
        assert_eq!(calls, expected);
        assert_eq!((whole.operations(), whole.faults()), (16, 0));
        for at in 0..whole.operations() {
            let (sim, faulty) = disk();
            faulty.fail_at(at, Errno::Io);
            let failure = story(&faulty).unwrap_err();
            assert_eq!(failure.raw_os_error(), Some(libc::EIO));
            assert_eq!((faulty.operations(), faulty.faults()), (at + 1, 1), "the story ended there");
            let last = faulty.trace().pop().unwrap();
            assert!(last.faulted && last.call == calls[at as usize] && last.index == at);
            let changes = trace[..at as usize]
                .iter()
                .filter(|op| !matches!(op.call, Lock | Open | OpenAppend | Read | List));
            let recording = sim.recording();
            let reached = recording.ops().iter().filter(|op| !matches!(op, Op::SyncFailed { .. }));
            assert_eq!(reached.count(), changes.count(), "{at} did not reach the disk");
        }
    }

    #[test]
    fn errors_are_those_of_the_system() {
        let kinds = [
            (Errno::NoSpace, ErrorKind::StorageFull),
            (Errno::Interrupted, ErrorKind::Interrupted),
            (Errno::Denied, ErrorKind::PermissionDenied),
            (Errno::ReadOnly, ErrorKind::ReadOnlyFilesystem),
        ];
        for (errno, kind) in kinds {
            assert_eq!(errno.error().kind(), kind);
        }
        assert_eq!(Errno::TooManyFiles.error().raw_os_error(), Some(libc::EMFILE));
    }

    #[test]
    fn rules_hold_once_or_until_healed() {
        let (_, disk) = disk();
        let log = disk.create("/1.wal".as_ref(), Cause::Wal).unwrap();
        let other = disk.create("/2.seg".as_ref(), Cause::Log).unwrap();
        disk.rule(At::nth(Call::Append, ".wal", 1), Fault::Fail(Errno::NoSpace), Lasting::Sticky);
        disk.rule(At::first(Call::Append, ".seg"), Fault::Fail(Errno::Interrupted), Lasting::Sticky);
        log.append(b"a").unwrap();
        assert_eq!(other.append(b"x").unwrap_err().kind(), ErrorKind::Interrupted);
        other.append(b"x").unwrap();
        for _ in 0..3 {
            assert_eq!(log.append(b"b").unwrap_err().kind(), ErrorKind::StorageFull);
        }
        other.append(b"y").unwrap();
        log.sync().unwrap();
        disk.heal();
        log.append(b"c").unwrap();
        assert_eq!((log.len(), other.len(), disk.faults()), (2, 2, 4));

        disk.rule(At::Index(disk.operations() + 1), Fault::Fail(Errno::TooManyFiles), Lasting::Sticky);
        log.sync().unwrap();
        assert!(log.sync().is_err() && disk.list("/".as_ref()).is_err() && other.append(b"").is_err());
        disk.clone().heal();
        disk.rule(At::first(Call::Rename, "/to"), Fault::Fail(Errno::Io), Lasting::Once);
        assert!(disk.rename("/1.wal".as_ref(), "/to".as_ref()).is_err(), "either path counts");
        disk.rename("/1.wal".as_ref(), "/to".as_ref()).unwrap();
    }

    #[test]
    fn short_operations_do_a_half() {
        let (sim, disk) = disk();
        let file = disk.create("/f".as_ref(), Cause::Log).unwrap();
        disk.rule(At::Index(1), Fault::Short(Errno::NoSpace), Lasting::Once);
        disk.rule(At::Index(3), Fault::Short(Errno::Interrupted), Lasting::Once);
        disk.rule(At::first(Call::Read, ""), Fault::Short(Errno::Io), Lasting::Sticky);
        assert_eq!(file.append(b"hello!").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(sim.image().get("/f"), Some(&b"hel"[..]));
        file.truncate(0).unwrap();
        assert_eq!(file.append(b"hello!").unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(file.len(), 0, "interrupted means not begun");
        file.append(b"hello!").unwrap();
        let mut buf = [0; 6];
        assert_eq!(file.read_at(&mut buf, 0).unwrap(), 3);
        read_exact_at(&*file, &mut buf, 0).unwrap();
        assert_eq!(&buf, b"hello!");
        assert_eq!(read_exact_at(&*file, &mut buf, 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn asking_for_a_failed_sync_again_proves_nothing() {
        let (sim, disk) = disk();
        let file = disk.create("/f".as_ref(), Cause::Log).unwrap();
        disk.rule(At::first(Call::Sync, ""), Fault::Fail(Errno::Io), Lasting::Once);
        file.append(b"x").unwrap();
        sim.sync_dir("/".as_ref()).unwrap();
        file.sync().unwrap_err();
        file.sync().unwrap();
        let left = || power_cut(&sim.recording(), 0).get("/f").map(<[u8]>::to_vec);
        assert_eq!((left(), sim.image().get("/f")), (Some(vec![]), Some(&b"x"[..])));
        // Nor does another handle's, nor what is written behind it: where it stood is a hole.
        let other = disk.append("/f".as_ref(), Cause::Log).unwrap();
        other.append(b"y").unwrap();
        other.sync().unwrap();
        assert_eq!((left(), sim.image().get("/f")), (Some(b"\0y".to_vec()), Some(&b"xy"[..])));
        other.write_again(0).unwrap();
        other.sync().unwrap();
        assert_eq!(left(), Some(b"xy".to_vec()));
    }
}
