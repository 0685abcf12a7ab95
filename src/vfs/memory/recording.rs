//! What was done to a disk, in order: the log from which crash states are played back.

use crate::vfs::memory::image::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file itself, whatever its names are: what other systems call an inode. Each
/// [`create`](crate::vfs::Vfs::create) makes a new one, also where a file had that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// What a test says between operations, so that a judge knows what may and what must be found
/// after a crash. Numbers count up from 1, in the order of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Change number `n` is about to be asked for: from here on it may be found.
    Issue(u64),
    /// All changes up to `n` were acknowledged, but not as durable: they survive a killed process.
    Handed(u64),
    /// All changes up to `n` were acknowledged as durable: they survive a power cut.
    Ack(u64),
    /// A remark for whoever reads the log.
    Note(String),
}

/// One change that was asked of a disk, or a mark between two.
///
/// Appends carry where they went, and names carry the file that they named, so that each operation
/// still has a meaning when others before it are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the disk's verbs")]
pub enum Op {
    /// A directory was made.
    CreateDir { dir: Arc<Path> },
    /// An empty file was made and given a name; one that had the name lost it.
    Create { path: Arc<Path>, file: FileId },
    /// A name was taken away.
    Remove { path: Arc<Path>, file: FileId },
    /// A name was changed, within one directory.
    Rename { from: Arc<Path>, to: Arc<Path>, file: FileId },
    /// A second name was given.
    Link { from: Arc<Path>, to: Arc<Path>, file: FileId },
    /// The names in a directory were made durable.
    SyncDir { dir: Arc<Path> },
    /// Bytes were written.
    Append { file: FileId, offset: u64, bytes: Arc<[u8]> },
    /// Zeros were written behind the end.
    Reserve { file: FileId, offset: u64, len: u64 },
    /// The file was cut.
    Truncate { file: FileId, len: u64 },
    /// Bytes were written over the same bytes.
    WriteAgain { file: FileId, offset: u64, bytes: Arc<[u8]> },
    /// The bytes of a file were made durable.
    Sync { file: FileId },
    /// Not durable, and not to be by a later sync: what was written to the file since the last one.
    SyncFailed { file: FileId },
    /// Nothing happened to the disk here; a test said something.
    Mark(Mark),
}

impl Op {
    /// The file whose bytes this changes; `None` if it changes names, or nothing.
    pub fn data_of(&self) -> Option<FileId> {
        match self {
            Op::Append { file, .. }
            | Op::Reserve { file, .. }
            | Op::Truncate { file, .. }
            | Op::WriteAgain { file, .. } => Some(*file),
            _ => None,
        }
    }

    /// The directory whose names this changes; `None` if it changes bytes, or nothing.
    pub fn names_of(&self) -> Option<&Path> {
        match self {
            Op::CreateDir { dir: path }
            | Op::Create { path, .. }
            | Op::Remove { path, .. }
            | Op::Rename { to: path, .. }
            | Op::Link { to: path, .. } => path.parent(),
            _ => None,
        }
    }
}

/// What was on the disk, durable, when a recording began.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// Every directory but the roots.
    pub dirs: BTreeSet<Arc<Path>>,
    /// The names, and the files that they name.
    pub names: BTreeMap<Arc<Path>, FileId>,
    /// The files' bytes.
    pub files: BTreeMap<FileId, Content>,
}

/// How the note begins that takes the place of an operation that was left out.
pub const LEFT_OUT: &str = "left out: ";

/// A sync to be left out of a recording, as if the code had never asked for it: when no test fails
/// then, either the sync is not needed, or a test is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Syncs of files.
    FileSync {
        /// How the file's path ends, by its name at that moment or its first one; `""` is any.
        ends_with: String,
        /// The how manieth of these, from 0; `None` is all.
        nth: Option<usize>,
    },
    /// Syncs of directories.
    DirSync {
        /// How the directory's path ends; `""` is any.
        ends_with: String,
        /// The how manieth of these, from 0; `None` is all.
        nth: Option<usize>,
    },
}

impl Forget {
    /// Every sync of files whose path ends like this.
    pub fn file_syncs(ends_with: &str) -> Forget {
        Forget::FileSync { ends_with: ends_with.to_owned(), nth: None }
    }

    /// Every sync of directories whose path ends like this.
    pub fn dir_syncs(ends_with: &str) -> Forget {
        Forget::DirSync { ends_with: ends_with.to_owned(), nth: None }
    }
}

/// What was done to a disk, in order, and what was on it before.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    base: Base,
    ops: Vec<Op>,
    /// What each file was called first.
    first_names: BTreeMap<FileId, Arc<Path>>,
}

impl Recording {
    /// `ops`, done to a disk that held `base`.
    pub fn new(base: Base, ops: Vec<Op>) -> Recording {
        let mut first_names = BTreeMap::new();
        for (path, file) in &base.names {
            first_names.entry(*file).or_insert_with(|| path.clone());
        }
        for op in &ops {
            if let Op::Create { path, file } = op {
                first_names.insert(*file, path.clone());
            }
        }
        Recording { base, ops, first_names }
    }

    /// What was on the disk before.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The operations and marks, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// What the file was called first.
    pub fn first_name(&self, file: FileId) -> Option<&Path> {
        self.first_names.get(&file).map(|path| &**path)
    }

    /// Leaves syncs out, as if they had never been asked for. Returns how many: 0 means that the
    /// recording has none such, and the experiment shows nothing.
    pub fn forget(&mut self, what: &Forget) -> usize {
        let mut seen = 0;
        let mut nth_is = |nth: &Option<usize>| {
            seen += 1;
            nth.is_none_or(|nth| nth == seen - 1)
        };
        let ends = |paths: &[&Path], end: &str| {
            paths.iter().any(|path| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes()))
        };
        self.forget_where(|_, op, paths| match (op, what) {
            (Op::Sync { .. }, Forget::FileSync { ends_with, nth }) => ends(paths, ends_with) && nth_is(nth),
            (Op::SyncDir { .. }, Forget::DirSync { ends_with, nth }) => ends(paths, ends_with) && nth_is(nth),
            _ => false,
        })
    }

    /// Leaves out the operations for which `forget` says so; it is given the index, the operation,
    /// and for syncs the path: of a file its present and its first name, of a directory its one.
    /// Returns how many. A [`Mark::Note`] takes the place of each, so that indexes stay.
    pub fn forget_where(&mut self, mut forget: impl FnMut(usize, &Op, &[&Path]) -> bool) -> usize {
        let mut now: BTreeMap<FileId, Arc<Path>> = self.first_names.clone();
        let mut forgotten = Vec::new();
        for (index, op) in self.ops.iter().enumerate() {
            let paths: Vec<&Path> = match op {
                Op::Sync { file } => {
                    let names = [now.get(file), self.first_names.get(file)];
                    names.into_iter().flatten().map(|path| &**path).collect()
                }
                Op::SyncDir { dir } => vec![dir],
                _ => Vec::new(),
            };
            if forget(index, op, &paths) {
                forgotten.push(index);
            }
            if let Op::Rename { to, file, .. } = op {
                now.insert(*file, to.clone());
            }
        }
        for &index in &forgotten {
            let note = format!("{LEFT_OUT}{}", self.describe(index));
            self.ops[index] = Op::Mark(Mark::Note(note));
        }
        forgotten.len()
    }

    /// One operation in words.
    pub fn describe(&self, index: usize) -> String {
        let name = |file: &FileId| {
            self.first_names
                .get(file)
                .map_or(PathBuf::from("?"), |path| path.to_path_buf())
                .display()
                .to_string()
        };
        match &self.ops[index] {
            Op::CreateDir { dir } => format!("create directory {}", dir.display()),
            Op::Create { path, .. } => format!("create {}", path.display()),
            Op::Remove { path, .. } => format!("remove {}", path.display()),
            Op::Rename { from, to, .. } => format!("rename {} to {}", from.display(), to.display()),
            Op::Link { from, to, .. } => format!("link {} as {}", from.display(), to.display()),
            Op::SyncDir { dir } => format!("sync directory {}", dir.display()),
            Op::Append { file, offset, bytes } => {
                format!("append {} bytes at {offset} to {}", bytes.len(), name(file))
            }
            Op::Reserve { file, offset, len } => format!("reserve {len} bytes at {offset} in {}", name(file)),
            Op::Truncate { file, len } => format!("truncate {} to {len}", name(file)),
            Op::WriteAgain { file, offset, bytes } => {
                format!("write {} bytes at {offset} of {} again", bytes.len(), name(file))
            }
            Op::Sync { file } => format!("sync {}", name(file)),
            Op::SyncFailed { file } => format!("sync {}, which fails", name(file)),
            Op::Mark(mark) => format!("{mark:?}"),
        }
    }
}
