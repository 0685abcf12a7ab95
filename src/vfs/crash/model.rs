//! What a disk is sure to hold at one moment of a recording, and what may still be lost.

use crate::vfs::memory::image::{Content, Image};
use crate::vfs::memory::recording::{FileId, Op, Recording};
use crate::vfs::memory::write_at;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// What becomes of one pending operation in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It reached the device.
    Kept,
    /// It did not.
    Lost,
    /// A part of a write reached the device.
    Torn(Tear),
}

/// Which part of a write reached the device; positions count from the beginning of the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tear {
    /// Only so many first bytes, and the file is no longer than that makes it.
    Cut(usize),
    /// The file has its new length, but these bytes were not written: they are as they were, which
    /// behind the old end means zeros.
    Hole(usize, usize),
}

impl Tear {
    /// Which part, in words.
    pub(super) fn words(self) -> String {
        match self {
            Tear::Cut(at) => format!("only its first {at} bytes there"),
            Tear::Hole(from, to) => format!("its bytes {from}..{to} not there, but its length"),
        }
    }
}

/// How a step of the recording changed what may be found after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not at all.
    Same,
    /// One more operation is pending.
    Grew,
    /// Pending operations became durable.
    Settled,
}

/// The disk's names: those that are sure, or those that everybody sees.
#[derive(Clone, Debug, Default)]
struct Names {
    dirs: BTreeSet<Arc<Path>>,
    files: BTreeMap<Arc<Path>, FileId>,
}

impl Names {
    /// Names point to files, so each operation has a meaning of its own, whatever came before it.
    fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir { dir } => drop(self.dirs.insert(dir.clone())),
            Op::Create { path, file } | Op::Link { to: path, file, .. } => {
                self.files.insert(path.clone(), *file);
            }
            Op::Remove { path, .. } => drop(self.files.remove(path)),
            Op::Rename { from, to, file } => {
                self.files.remove(from);
                self.files.insert(to.clone(), *file);
            }
            _ => {}
        }
    }

    /// Those that can be reached from a root: an entry in a directory that was itself lost is gone
    /// with it.
    fn reachable(mut self) -> Names {
        let mut dirs = BTreeSet::new();
        // Paths sort before what is below them, so a parent has been decided before its children.
        for dir in self.dirs {
            if is_reachable(&dirs, &dir) {
                dirs.insert(dir);
            }
        }
        self.files.retain(|path, _| is_reachable(&dirs, path));
        Names { dirs, files: self.files }
    }
}

fn is_reachable(dirs: &BTreeSet<Arc<Path>>, path: &Path) -> bool {
    path.parent().is_none_or(|parent| parent.parent().is_none() || dirs.contains(parent))
}

/// The bytes of one file: those that are sure, and those that everybody sees.
#[derive(Clone, Debug, Default)]
struct Bytes {
    durable: Content,
    full: Content,
    /// What everybody sees, but for what is pending; `None` where that is what is sure: no sync has failed.
    seen: Option<Content>,
}

/// An operation that no sync has made durable yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<'r> {
    /// Where it stands in the recording.
    pub(super) index: usize,
    pub(super) op: &'r Op,
    /// The file whose bytes it changes, as an index into `Model::files`; `None` for names.
    pub(super) slot: Option<usize>,
}

/// What a disk is sure to hold at one moment of a recording, and what may still be lost.
///
/// Both ends are kept ready, the durable state and the full one; states between them are built by
/// applying to the durable one what is kept. A file of which everything or nothing is kept costs
/// one reference.
#[derive(Debug)]
pub(super) struct Model<'r> {
    durable: Names,
    full: Names,
    slots: HashMap<FileId, usize>,
    files: Vec<Bytes>,
    pending: Vec<Pending<'r>>,
}

impl<'r> Model<'r> {
    pub(super) fn new(recording: &'r Recording) -> Model<'r> {
        let base = recording.base();
        let names = Names { dirs: base.dirs.clone(), files: base.names.clone() };
        let mut model = Model {
            durable: names.clone(),
            full: names,
            slots: HashMap::new(),
            files: Vec::new(),
            pending: Vec::new(),
        };
        for (file, content) in &base.files {
            let slot = model.slot(*file);
            model.files[slot] = Bytes { durable: content.clone(), full: content.clone(), seen: None };
        }
        model
    }

    pub(super) fn pending(&self) -> &[Pending<'r>] {
        &self.pending
    }

    fn slot(&mut self, file: FileId) -> usize {
        *self.slots.entry(file).or_insert_with(|| {
            self.files.push(Bytes::default());
            self.files.len() - 1
        })
    }

    /// Goes on by one operation.
    pub(super) fn step(&mut self, index: usize, op: &'r Op) -> Step {
        match op {
            Op::Mark(_) => Step::Same,
            Op::Sync { file } => self.sync(*file),
            Op::SyncFailed { file } => self.lose(*file),
            Op::SyncDir { dir } => self.sync_dir(dir),
            _ => {
                let slot = op.data_of().map(|file| self.slot(file));
                match slot {
                    Some(slot) => write(self.files[slot].full.make_mut(), op, Fate::Kept),
                    None => self.full.apply(op),
                }
                self.pending.push(Pending { index, op, slot });
                Step::Grew
            }
        }
    }

    fn sync(&mut self, file: FileId) -> Step {
        let slot = self.slot(file);
        let bytes = &mut self.files[slot];
        if bytes.seen.is_some() {
            let synced = self.pending.iter().filter(|pending| pending.slot == Some(slot));
            synced.for_each(|pending| write(bytes.durable.make_mut(), pending.op, Fate::Kept));
            bytes.seen = Some(bytes.full.clone());
        } else {
            bytes.durable = bytes.full.clone();
        }
        self.settle(slot)
    }

    /// A sync of the file has failed: what was written is there to be read, and no later sync makes it durable.
    /// The new length of a file that was cut is another matter: it is a name's kin.
    fn lose(&mut self, file: FileId) -> Step {
        let slot = self.slot(file);
        let bytes = &mut self.files[slot];
        for pending in self.pending.iter().filter(|pending| pending.slot == Some(slot)) {
            if let Op::Truncate { len, .. } = pending.op {
                bytes.durable.make_mut().truncate(*len as usize);
            }
        }
        bytes.seen = Some(bytes.full.clone());
        self.settle(slot)
    }

    /// Nothing that was done to this file's bytes is pending any more.
    fn settle(&mut self, slot: usize) -> Step {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.slot != Some(slot));
        if self.pending.len() < before { Step::Settled } else { Step::Same }
    }

    fn sync_dir(&mut self, dir: &Path) -> Step {
        let before = self.pending.len();
        let durable = &mut self.durable;
        self.pending.retain(|pending| {
            let synced = pending.op.names_of() == Some(dir);
            if synced {
                durable.apply(pending.op);
            }
            !synced
        });
        if self.pending.len() < before { Step::Settled } else { Step::Same }
    }

    /// Whether some file is not on the device as it is seen, whatever becomes of what is pending.
    pub(super) fn has_lost(&self) -> bool {
        self.files.iter().any(|bytes| bytes.seen.is_some())
    }

    /// The disk after a power cut in which the pending operations met these fates.
    pub(super) fn image(&self, fates: &[Fate]) -> Image {
        self.image_of(fates, false)
    }

    /// What a process finds that comes after a kill, in which the last write may have been cut short.
    pub(super) fn image_after_kill(&self, fates: &[Fate]) -> Image {
        self.image_of(fates, true)
    }

    fn image_of(&self, fates: &[Fate], is_kill: bool) -> Image {
        let names = self.names(fates);
        let contents = self.contents(fates, is_kill);
        let files = names.files.iter().map(|(path, file)| {
            let content = self.slots.get(file).map(|slot| contents[*slot].clone());
            (path.clone(), content.unwrap_or_default())
        });
        Image { dirs: names.dirs.clone(), files: files.collect() }
    }

    fn names(&self, fates: &[Fate]) -> Cow<'_, Names> {
        let ops = || self.pending.iter().zip(fates).filter(|(pending, _)| pending.slot.is_none());
        if ops().all(|(_, fate)| *fate != Fate::Lost) {
            return Cow::Borrowed(&self.full);
        }
        let mut names = self.durable.clone();
        ops().filter(|(_, fate)| **fate != Fate::Lost).for_each(|(pending, _)| names.apply(pending.op));
        Cow::Owned(if names.dirs.len() < self.full.dirs.len() { names.reachable() } else { names })
    }

    /// The bytes of every file, by slot.
    fn contents(&self, fates: &[Fate], is_kill: bool) -> Vec<Content> {
        let (mut any_kept, mut all_kept) = (vec![false; self.files.len()], vec![true; self.files.len()]);
        let ops = || self.pending.iter().zip(fates).filter_map(|(p, fate)| Some((p.slot?, p.op, *fate)));
        for (slot, _, fate) in ops() {
            any_kept[slot] |= fate != Fate::Lost;
            all_kept[slot] &= fate == Fate::Kept;
        }
        for (all_kept, bytes) in all_kept.iter_mut().zip(&self.files) {
            *all_kept &= bytes.seen.is_none() || is_kill;
        }
        let pick = |(slot, bytes): (usize, &Bytes)| match &bytes.seen {
            _ if all_kept[slot] => bytes.full.clone(),
            Some(seen) if is_kill => seen.clone(),
            _ => bytes.durable.clone(),
        };
        let mut contents: Vec<Content> = self.files.iter().enumerate().map(pick).collect();
        for (slot, op, fate) in ops() {
            if any_kept[slot] && !all_kept[slot] && fate != Fate::Lost {
                write(contents[slot].make_mut(), op, fate);
            }
        }
        contents
    }
}

/// Does to the bytes what the operation did to them, or the part of it that was kept.
fn write(content: &mut Vec<u8>, op: &Op, fate: Fate) {
    let (offset, len) = match op {
        Op::Append { offset, bytes, .. } => (*offset as usize, bytes.len()),
        Op::WriteAgain { offset, bytes, .. } => (*offset as usize, bytes.len()),
        Op::Reserve { offset, len, .. } => (*offset as usize, *len as usize),
        Op::Truncate { len, .. } => return content.resize(*len as usize, 0),
        _ => return,
    };
    let mut put = |from: usize, to: usize| match op {
        Op::Append { bytes, .. } | Op::WriteAgain { bytes, .. } => {
            write_at(content, offset + from, &bytes[from..to])
        }
        _ if content.len() < offset + to => content.resize(offset + to, 0),
        _ => {}
    };
    match fate {
        Fate::Lost => {}
        Fate::Kept => put(0, len),
        Fate::Torn(Tear::Cut(at)) => put(0, at.min(len)),
        Fate::Torn(Tear::Hole(from, to)) => {
            put(0, from.min(len));
            put(to.min(len), len);
            if content.len() < offset + len {
                content.resize(offset + len, 0);
            }
        }
    }
}

/// The ways in which a write is torn: cut after its first byte, in its middle, before its last byte
/// and at the borders of sectors (pages, where there are more than `most` of these; then every so
/// manieth); its length there without its bytes, from each border on; and single pages missing
/// with those behind them present. Not in there: the whole write as zeros, which is
/// [`size_only`]'s.
pub(super) fn tears(op: &Op, most: usize) -> Vec<Tear> {
    const SECTOR: u64 = 512;
    const PAGE: u64 = 4096;
    let (offset, len) = match op {
        Op::Append { offset, bytes, .. } => (*offset, bytes.len()),
        Op::Reserve { len, .. } => return vec![Tear::Cut(*len as usize / 2)],
        _ => return Vec::new(),
    };
    let borders = |unit: u64| -> Vec<usize> {
        let first = offset.next_multiple_of(unit) - offset;
        (first..len as u64).step_by(unit as usize).map(|at| at as usize).filter(|at| *at > 0).collect()
    };
    let (sectors, pages) = (borders(SECTOR), borders(PAGE));
    let cuts = thin(if sectors.len() > most { &pages } else { &sectors }, most);
    let mut tears: BTreeSet<Tear> = [1, len / 2, len.saturating_sub(1)].map(Tear::Cut).into();
    tears.extend(cuts.iter().flat_map(|at| [Tear::Cut(*at), Tear::Hole(*at, len)]));
    let starts = [&[0], &pages[..]].concat();
    let ends = [&pages[..], &[len]].concat();
    if !pages.is_empty() {
        let holes: Vec<_> = starts.into_iter().zip(ends).map(|(from, to)| Tear::Hole(from, to)).collect();
        tears.extend(thin(&holes, most));
    }
    tears.retain(|tear| !matches!(tear, Tear::Cut(at) if *at == 0 || *at >= len));
    tears.into_iter().collect()
}

/// The write's length without its bytes; `None` if it is no write.
pub(super) fn size_only(op: &Op) -> Option<Tear> {
    match op {
        Op::Append { bytes, .. } => Some(Tear::Hole(0, bytes.len())),
        _ => None,
    }
}

/// At most `most` of these, evenly chosen.
fn thin<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most.max(1)).max(1);
    all.iter().step_by(step).cloned().collect()
}

/// What became of the pending operations, in words.
pub(super) fn describe(recording: &Recording, pending: &[Pending<'_>], fates: &[Fate]) -> String {
    let of = |wanted: fn(&Fate) -> bool| pending.iter().zip(fates).filter(move |(_, fate)| wanted(fate));
    let (lost, kept) = (of(|fate| *fate == Fate::Lost), of(|fate| *fate == Fate::Kept));
    let (lost_len, kept_len) = (lost.clone().count(), kept.clone().count());
    let mut out = format!("of {} pending operations, ", pending.len());
    let list = |out: &mut String, ops: &mut dyn Iterator<Item = &Pending<'_>>| {
        for (i, op) in ops.enumerate() {
            let _ = write!(
                out,
                "{}#{} {}",
                if i > 0 { ", " } else { "" },
                op.index,
                recording.describe(op.index)
            );
        }
    };
    if kept_len == pending.len() {
        out.push_str("all kept");
    } else if lost_len == pending.len() {
        out.push_str("all lost");
    } else if lost_len == 0 {
        out.push_str("none lost");
    } else if lost_len <= kept_len {
        out.push_str("lost: ");
        list(&mut out, &mut lost.map(|(op, _)| op));
    } else if kept_len == 0 {
        out.push_str("none wholly kept");
    } else {
        out.push_str("kept only: ");
        list(&mut out, &mut kept.map(|(op, _)| op));
    }
    for (op, fate) in pending.iter().zip(fates) {
        let Fate::Torn(tear) = fate else { continue };
        let _ = write!(out, "; torn: #{} {}, {}", op.index, recording.describe(op.index), tear.words());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Fate, Model, Tear, tears, write};
    use crate::vfs::memory::SimDisk;
    use crate::vfs::memory::recording::{FileId, Op};
    use crate::vfs::{Cause, DiskFile, Vfs};
    use proptest::prelude::*;
    use std::path::Path;
    use std::sync::Arc;

    fn append(offset: u64, len: usize) -> Op {
        Op::Append { file: FileId(0), offset, bytes: vec![b'x'; len].into() }
    }

    #[test]
    fn writes_are_torn_at_the_borders_of_the_device() {
        use Tear::{Cut, Hole};
        assert_eq!(tears(&append(0, 1), 8), []);
        assert_eq!(tears(&append(0, 2), 8), [Cut(1)]);
        assert_eq!(tears(&append(500, 20), 8), [Cut(1), Cut(10), Cut(12), Cut(19), Hole(12, 20)]);
        assert_eq!(tears(&append(512, 512), 8), [Cut(1), Cut(256), Cut(511)]);
        let two_pages = [Cut(1), Cut(96), Cut(100), Cut(199), Hole(0, 96), Hole(96, 200)];
        assert_eq!(tears(&append(4000, 200), 8), two_pages);
        let many = tears(&append(0, 1 << 20), 8);
        assert_eq!(many.len(), 3 + 8 + 8 + 8, "{many:?}");
        assert_eq!(tears(&Op::Truncate { file: FileId(0), len: 9 }, 8), []);
    }

    #[test]
    fn a_part_that_was_not_written_is_what_it_was_before() {
        let torn = |old: &[u8], offset, tear| {
            let mut content = old.to_vec();
            write(&mut content, &append(offset, 4), Fate::Torn(tear));
            content.escape_ascii().to_string()
        };
        assert_eq!(torn(b"ab", 2, Tear::Cut(3)), "abxxx");
        assert_eq!(torn(b"ab", 4, Tear::Cut(1)), "ab\\x00\\x00x");
        assert_eq!(torn(b"ab", 2, Tear::Hole(1, 3)), "abx\\x00\\x00x");
        assert_eq!(torn(b"abc", 2, Tear::Hole(0, 4)), "abc\\x00\\x00\\x00");
        assert_eq!(torn(b"abcdefgh", 2, Tear::Hole(1, 3)), "abxdexgh");
        assert_eq!(torn(b"abcdefgh", 2, Tear::Cut(1)), "abxdefgh");
    }

    /// Does one of all the things that can be done; most of them fail, which changes nothing.
    fn act(disk: &SimDisk, files: &mut Vec<Arc<dyn DiskFile>>, (verb, a, b): (u8, u8, u8)) {
        let name = |n: u8| format!("{}{}", ["/d/", "/", ""][n as usize % 3], n / 3 % 4);
        let (from, to) = (name(a), name(b));
        let (from, to) = (Path::new(&from), Path::new(&to));
        let file = (!files.is_empty()).then(|| files[a as usize % files.len()].clone());
        match (verb, file) {
            (0, _) => drop(disk.create_dir(Path::new(["/d", "/e", "f"][a as usize % 3]))),
            (1, _) => files.extend(disk.create(from, Cause::Log)),
            (2, _) => drop(disk.remove(from)),
            (3, _) => drop(disk.rename(from, to)),
            (4, _) => drop(disk.link(from, to)),
            (5, _) => drop(disk.sync_dir(Path::new(["/d", "/", ""][a as usize % 3]))),
            (6, _) => files.extend(disk.append(from, Cause::Log)),
            (7, Some(file)) => file.sync().unwrap(),
            (8, Some(file)) => file.reserve(b.into()).unwrap(),
            (9, Some(file)) => file.truncate(u64::from(b) / 8).unwrap(),
            (10, Some(file)) => drop(file.write_again(u64::from(b) / 16)),
            (_, Some(file)) => file.append(&vec![b; b as usize % 9]).unwrap(),
            (_, None) => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// With all kept, the model is the disk as it was at that moment; with everything synced,
        /// it is so with all lost.
        #[test]
        fn the_model_is_the_disk(acts in prop::collection::vec((0..14_u8, any::<u8>(), any::<u8>()), 0..80)) {
            let (disk, mut files, mut images) = (SimDisk::new(), Vec::new(), vec![SimDisk::new().image()]);
            for act_now in acts {
                act(&disk, &mut files, act_now);
                images.resize(disk.recording().ops().len() + 1, disk.image());
            }
            files.iter().for_each(|file| file.sync().unwrap());
            ["/d", "/", ""].iter().for_each(|dir| drop(disk.sync_dir(Path::new(dir))));
            images.resize(disk.recording().ops().len() + 1, disk.image());
            let recording = disk.recording();
            let mut model = Model::new(&recording);
            for (index, op) in recording.ops().iter().enumerate() {
                model.step(index, op);
                prop_assert_eq!(&model.image_after_kill(&vec![Fate::Kept; model.pending().len()]), &images[index + 1]);
            }
            prop_assert!(model.pending().is_empty());
            prop_assert_eq!(&model.image(&[]), &disk.image());
        }
    }
}
