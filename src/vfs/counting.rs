//! The byte ledger: a disk that counts what is written and read, by kind of file and by cause.

use crate::vfs::dir::TMP_SUFFIX;
use crate::vfs::{Cause, DirEntry, DirLock, DiskFile, LockMode, Vfs};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Log => f.pad("log"),
            Cause::Read => f.pad("read"),
            Cause::Hint => f.pad("hint"),
            Cause::Merge => f.pad("merge"),
            Cause::Wal => f.pad("wal"),
            Cause::Flush => f.pad("flush"),
            Cause::Compaction(level) => f.pad(&format!("compaction-L{level}")),
            Cause::Manifest => f.pad("manifest"),
            Cause::Recovery => f.pad("recovery"),
            Cause::Checkpoint => f.pad("checkpoint"),
            Cause::Inspect => f.pad("inspect"),
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Declares counters twice, as atomics and as plain numbers, so that the two can not differ.
macro_rules! counters {
    ($(#[$doc:meta])* $plain:ident, $atomic:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct $plain { $($(#[$field_doc])* pub $field: u64,)* }

        impl $plain {
            /// Both together.
            pub fn plus(self, other: $plain) -> $plain {
                $plain { $($field: self.$field + other.$field,)* }
            }

            /// What was counted since `earlier`.
            pub fn since(self, earlier: $plain) -> $plain {
                $plain { $($field: self.$field.saturating_sub(earlier.$field),)* }
            }
        }

        #[derive(Debug, Default)]
        struct $atomic { $($field: AtomicU64,)* }

        impl $atomic {
            fn read(&self) -> $plain {
                $plain { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// What was done to the bytes of files. Only what succeeded is counted, and bytes as far as
    /// they went.
    FileCounts, AtomicFileCounts {
        /// Bytes appended.
        written_bytes,
        /// Appends.
        write_calls,
        /// Zeros written ahead of appends; not in `written_bytes`.
        reserved_bytes,
        /// Bytes read by calls.
        read_bytes,
        /// Reads by call.
        read_calls,
        /// Bytes read through a map, without a call. What is looked at twice counts twice.
        mapped_bytes,
        /// Syncs.
        syncs,
    }
}

counters! {
    /// What was done to the names of files.
    NameCounts, AtomicNameCounts {
        /// Files made.
        creates,
        /// Files opened, for whatever.
        opens,
        /// Files removed.
        removes,
        /// Files renamed.
        renames,
        /// Files linked.
        links,
        /// Directories made.
        dirs,
        /// Directories listed.
        lists,
        /// Directories synced.
        dir_syncs,
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// One line of a [`Ledger`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The kind of file; see [`kind_of`].
    pub file: String,
    /// Why the file was opened.
    pub cause: Cause,
    /// What was done to it.
    #[serde(flatten)]
    pub counts: FileCounts,
}

/// What was done to a disk, by kind of file and by cause: a value, taken at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// One line for each kind and cause, sorted; none of them empty.
    pub rows: Vec<Row>,
    /// The sums of the lines.
    pub total: FileCounts,
    /// What was done to names.
    pub names: NameCounts,
}

impl Ledger {
    fn new(rows: impl Iterator<Item = Row>, names: NameCounts) -> Ledger {
        let rows: Vec<Row> = rows.filter(|row| row.counts != FileCounts::default()).collect();
        Ledger { total: sum(rows.iter()), rows, names }
    }

    /// What was done since `earlier`, a ledger of the same disk.
    pub fn since(&self, earlier: &Ledger) -> Ledger {
        let rows = self.rows.iter().map(|row| {
            let before =
                sum(earlier.rows.iter().filter(|old| old.file == row.file && old.cause == row.cause));
            Row { counts: row.counts.since(before), ..row.clone() }
        });
        Ledger::new(rows, self.names.since(earlier.names))
    }

    /// Both together: what was done in two stretches of time, or to two disks.
    pub fn plus(&self, other: &Ledger) -> Ledger {
        let mut sums: BTreeMap<(&str, Cause), FileCounts> = BTreeMap::new();
        for row in self.rows.iter().chain(&other.rows) {
            let sum = sums.entry((&row.file, row.cause)).or_default();
            *sum = sum.plus(row.counts);
        }
        let rows = sums.into_iter().map(|((file, cause), counts)| Row { file: file.into(), cause, counts });
        Ledger::new(rows, self.names.plus(other.names))
    }

    /// What was done to files of one kind, for whatever cause.
    pub fn of_file(&self, kind: &str) -> FileCounts {
        sum(self.rows.iter().filter(|row| row.file == kind))
    }

    /// What was done for one cause, to whatever files.
    pub fn of_cause(&self, cause: Cause) -> FileCounts {
        sum(self.rows.iter().filter(|row| row.cause == cause))
    }
}

fn sum<'a>(rows: impl Iterator<Item = &'a Row>) -> FileCounts {
    rows.fold(FileCounts::default(), |sum, row| sum.plus(row.counts))
}

/// The kind of a file, by its name: the ending (`seg`, `hint`, `wal`, `sst`), or where there is none
/// the name without its number (`MANIFEST`, `ENGINE`). A file that is not yet in place counts as
/// what it is to become: `MANIFEST.tmp` is `MANIFEST`.
pub fn kind_of(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("?");
    let name = name.strip_suffix(TMP_SUFFIX).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((_, ending)) => ending,
        None => name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-'),
    }
}

/// A disk that passes everything on to another one, and counts it. Clones share the count.
///
/// What engines write and read is counted here, at the lower end of the pipe, so that they need not
/// count it themselves. A handle knows its counters, so an append or a read costs two relaxed
/// additions, and a read of mapped bytes one.
#[derive(Clone, Debug)]
pub struct CountingDisk {
    inner: Arc<dyn Vfs>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    files: Mutex<BTreeMap<(String, Cause), Arc<AtomicFileCounts>>>,
    names: AtomicNameCounts,
}

impl CountingDisk {
    /// Counts what is done to `inner` from here on.
    pub fn new(inner: Arc<dyn Vfs>) -> CountingDisk {
        CountingDisk { inner, counts: Arc::default() }
    }

    /// What was done so far. Numbers that are counted meanwhile may be in it or not.
    pub fn ledger(&self) -> Ledger {
        let files = self.counts.files.lock();
        let rows = files.iter().map(|((file, cause), counts)| Row {
            file: file.clone(),
            cause: *cause,
            counts: counts.read(),
        });
        Ledger::new(rows, self.counts.names.read())
    }

    fn wrap(&self, path: &Path, cause: Cause, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let kind = kind_of(path).to_owned();
        let counts = self.counts.files.lock().entry((kind, cause)).or_default().clone();
        let reserved = AtomicU64::new(inner.len());
        Arc::new(CountingFile { inner, counts, reserved })
    }
}

impl Vfs for CountingDisk {
    fn create(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.create(path, cause)?;
        add(&self.counts.names.creates, 1);
        Ok(self.wrap(path, cause, inner))
    }

    fn append(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.append(path, cause)?;
        add(&self.counts.names.opens, 1);
        Ok(self.wrap(path, cause, inner))
    }

    fn open(&self, path: &Path, cause: Cause) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.open(path, cause)?;
        add(&self.counts.names.opens, 1);
        Ok(self.wrap(path, cause, inner))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)?;
        add(&self.counts.names.removes, 1);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)?;
        add(&self.counts.names.renames, 1);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)?;
        add(&self.counts.names.links, 1);
        Ok(())
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.real_path(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = self.inner.list(dir)?;
        add(&self.counts.names.lists, 1);
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)?;
        add(&self.counts.names.dirs, 1);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)?;
        add(&self.counts.names.dir_syncs, 1);
        Ok(())
    }

    fn lock(&self, dir: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        self.inner.lock(dir, mode)
    }
}

#[derive(Debug)]
struct CountingFile {
    inner: Arc<dyn DiskFile>,
    counts: Arc<AtomicFileCounts>,
    /// Up to where zeros were reserved, or the end where that is further: what
    /// [`DiskFile::reserve`] writes is what it adds to this.
    reserved: AtomicU64,
}

impl DiskFile for CountingFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(bytes)?;
        add(&self.counts.written_bytes, bytes.len() as u64);
        add(&self.counts.write_calls, 1);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()?;
        add(&self.counts.syncs, 1);
        Ok(())
    }

    fn write_again(&self, from: u64) -> io::Result<()> {
        self.inner.write_again(from)?;
        add(&self.counts.written_bytes, self.inner.len().saturating_sub(from));
        add(&self.counts.write_calls, 1);
        Ok(())
    }

    fn lose_unsynced(&self) {
        self.inner.lose_unsynced();
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let end = self.inner.len();
        self.inner.reserve(bytes)?;
        let before = self.reserved.fetch_max(end + bytes, Ordering::Relaxed).max(end);
        add(&self.counts.reserved_bytes, (end + bytes).saturating_sub(before));
        Ok(())
    }

    fn start_writeback(&self) {
        self.inner.start_writeback();
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)?;
        self.reserved.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.inner.read_at(buf, offset)?;
        add(&self.counts.read_bytes, n as u64);
        add(&self.counts.read_calls, 1);
        Ok(n)
    }

    fn map(&self, bytes: u64) {
        self.inner.map(bytes);
    }

    #[inline]
    fn mapped(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let bytes = self.inner.mapped(offset, len)?;
        add(&self.counts.mapped_bytes, len as u64);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{CountingDisk, FileCounts, NameCounts, kind_of};
    use crate::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
    use crate::vfs::memory::SimDisk;
    use crate::vfs::os::OsDisk;
    use crate::vfs::{Cause, Vfs};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn files_have_kinds() {
        let kinds = [
            ("/s/000001.sst", "sst"),
            ("7.seg", "seg"),
            ("MANIFEST", "MANIFEST"),
            ("MANIFEST-000007", "MANIFEST"),
            ("ENGINE.tmp", "ENGINE"),
            ("7.hint.tmp", "hint"),
            ("/", "?"),
        ];
        for (path, kind) in kinds {
            assert_eq!(kind_of(Path::new(path)), kind, "{path}");
        }
    }

    #[test]
    fn the_ledger_adds_up() {
        let disk = CountingDisk::new(Arc::new(SimDisk::new()));
        let log = disk.create("/1.wal".as_ref(), Cause::Wal).unwrap();
        log.append(b"12345").unwrap();
        log.reserve(100).unwrap();
        log.append(b"678").unwrap();
        log.reserve(100).unwrap();
        log.reserve(50).unwrap();
        log.sync().unwrap();
        log.truncate(8).unwrap();
        log.reserve(10).unwrap();
        let before = disk.ledger();
        assert_eq!(
            before.of_file("wal"),
            FileCounts {
                written_bytes: 8,
                write_calls: 2,
                reserved_bytes: 113,
                syncs: 1,
                ..FileCounts::default()
            }
        );

        disk.open("/1.wal".as_ref(), Cause::Recovery).unwrap().read_at(&mut [0; 64], 15).unwrap();
        let table = disk.create("/2.sst.tmp".as_ref(), Cause::Compaction(1)).unwrap();
        table.append(b"table").unwrap();
        disk.rename("/2.sst.tmp".as_ref(), "/2.sst".as_ref()).unwrap();
        disk.sync_dir("/".as_ref()).unwrap();
        disk.remove("/1.wal".as_ref()).unwrap();
        disk.list("/".as_ref()).unwrap();
        let after = disk.ledger();
        let since = after.since(&before);
        let lines: Vec<_> = since.rows.iter().map(|row| format!("{} {}", row.file, row.cause)).collect();
        assert_eq!(lines, ["sst compaction-L1", "wal recovery"], "and none that did not change");
        assert_eq!(since.of_cause(Cause::Recovery).read_bytes, 3);
        assert_eq!(since.of_cause(Cause::Compaction(1)).written_bytes, 5);
        assert_eq!(since.total, after.total.since(before.total));
        let total = FileCounts {
            written_bytes: 5,
            write_calls: 1,
            read_bytes: 3,
            read_calls: 1,
            ..Default::default()
        };
        assert_eq!(since.total, total);
        let names = NameCounts {
            creates: 1,
            opens: 1,
            removes: 1,
            renames: 1,
            lists: 1,
            dir_syncs: 1,
            ..Default::default()
        };
        assert_eq!(since.names, names);
        assert_eq!(after.since(&after).rows, []);
        assert_eq!(before.plus(&since), after);
        let json = serde_json::to_value(&since).unwrap();
        assert_eq!(json["rows"][0]["cause"], "compaction-L1");
        assert_eq!(json["rows"][1]["read_bytes"], 3);
        assert_eq!(json["total"]["written_bytes"], 5);
    }

    #[test]
    fn mapped_reads_have_a_column_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let disk = CountingDisk::new(Arc::new(OsDisk));
        let file = disk.create(&dir.path().join("1.seg"), Cause::Log).unwrap();
        file.append(b"0123456789").unwrap();
        file.map(64);
        assert_eq!(file.mapped(2, 3), Some(&b"234"[..]));
        assert_eq!(file.mapped(8, 3), None);
        let counts = disk.ledger().of_file("seg");
        assert_eq!((counts.mapped_bytes, counts.read_bytes, counts.read_calls), (3, 0, 0));
    }

    #[test]
    fn what_fails_is_not_counted() {
        let faulty = FaultDisk::new(Arc::new(SimDisk::new()));
        let disk = CountingDisk::new(Arc::new(faulty.clone()));
        let file = disk.create("/1.seg".as_ref(), Cause::Log).unwrap();
        let before = disk.ledger();
        faulty.rule(At::Index(1), Fault::Fail(Errno::Io), Lasting::Sticky);
        assert!(file.append(b"x").is_err() && file.sync().is_err() && file.reserve(9).is_err());
        assert!(file.read_at(&mut [0], 0).is_err() && disk.remove("/1.seg".as_ref()).is_err());
        assert_eq!(disk.ledger(), before);
        faulty.heal();
        faulty.rule(At::first(Call::Read, ""), Fault::Short(Errno::Io), Lasting::Once);
        file.append(b"abcd").unwrap();
        file.read_at(&mut [0; 4], 0).unwrap();
        assert_eq!(disk.ledger().since(&before).total.read_bytes, 2);
    }
}
