//! Which line of the code a sync in a recording comes from.

use crate::crash_support::history::{CHECKPOINTING, CLOSING, History, OPENING, RUNNING};
use kvs::engine::filename::{self, FileName};
use kvs::engine::lsm::version::edit::LiveFile;
use kvs::engine::manifest::Edit;
use kvs::record::frame::{Header, Shape};
use kvs::vfs::memory::recording::{FileId, Mark, Op};
use std::collections::HashMap;
use std::path::Path;

/// A place in the code that syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    /// `Dir::create_all`: the parents of new directories.
    ParentOfTheStore,
    /// `Dir::replace`, of the identity: its bytes, then its name.
    IdentityBytes,
    IdentityName,
    /// `Dir::replace`, of the manifest: its bytes, then its name.
    ManifestBytes,
    ManifestName,
    /// `Manifest::apply`.
    ManifestEdit,
    /// `Manifest::close`.
    ManifestEnd,
    /// `create`, `rotate` and `checkpoint`: a new log's header.
    LogHeader,
    /// `rotate`: the new log's name.
    LogName,
    /// `LogWriter::finish`, when a log is sealed: all of it.
    LogSeal,
    /// A write that is acknowledged as durable, or `KvsEngine::sync`.
    DurableWrite,
    /// Bitcask's `compaction::run`: an output's bytes, then the names of all outputs.
    MergeOutput,
    MergeNames,
    /// `Merger::install`: what replaced the records that a merge leaves out.
    MergeReplacements,
    /// The LSM tree's `TableBuilder::finish`, for a flush, a compaction or a load: a table's bytes.
    FlushedTable,
    CompactedTable,
    LoadedTable,
    /// `Made::publish`: the names of such tables.
    FlushedNames,
    CompactedNames,
    LoadedNames,
    /// `LogWriter::close`: the log that grows.
    ClosingActive,
    /// `Manifest::resume`: what an opening has read, and the cut of a torn edit.
    OpeningManifest,
    OpeningTornEdit,
    OpeningNames,
    /// `resume` of the log: what an opening has read, and the cut of a torn tail.
    OpeningActive,
    OpeningTornTail,
    /// `Dir::copy`: a hint in a checkpoint.
    CheckpointHint,
    /// `Manifest::close`, of a checkpoint.
    CheckpointManifestEnd,
}

/// The syncs of a history, and where they come from.
pub(crate) fn sites(history: &History) -> Vec<(usize, Site)> {
    let mut finder = Finder { history, phase: RUNNING, files: HashMap::new(), names: HashMap::new() };
    for (path, file) in &history.recording.base().names {
        let bytes = &history.recording.base().files[file];
        finder.files.insert(*file, File { kind: kind(path, bytes), last: Last::Nothing });
    }
    let ops = history.recording.ops();
    ops.iter().enumerate().filter_map(|(index, op)| Some((index, finder.step(index, op)?))).collect()
}

/// What is known of a file.
struct File {
    kind: Kind,
    last: Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Log,
    Merged,
    Hint,
    Table,
    Manifest,
    Identity,
}

/// What a table was made by.
enum Maker {
    Flush,
    Compaction,
    Load,
}

/// What was done to a file last, in the present phase.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    /// Its first bytes were written.
    Begin,
    Append(usize),
    Truncate,
}

/// What kind of file is called so and begins like this.
fn kind(path: &Path, bytes: &[u8]) -> Kind {
    let name = path.file_name().unwrap().to_str().unwrap();
    match Header::decode(bytes).map(|header| header.kind) {
        Some(3) => Kind::Merged,
        _ if name.starts_with("MANIFEST") => Kind::Manifest,
        _ if name.starts_with("ENGINE") => Kind::Identity,
        _ if name.ends_with(".hint") => Kind::Hint,
        _ if name.ends_with(".sst") => Kind::Table,
        _ => Kind::Log,
    }
}

/// The edit that was appended to a manifest.
pub(crate) fn edit(record: &[u8]) -> Option<Edit<LiveFile>> {
    let shape = Shape::read(record, record.len() as u64).ok()?;
    Edit::decode(&record[shape.payload..])
}

struct Finder<'h> {
    history: &'h History,
    phase: &'static str,
    files: HashMap<FileId, File>,
    /// The last name in each directory that was changed in this phase.
    names: HashMap<&'h Path, &'h Op>,
}

impl<'h> Finder<'h> {
    fn step(&mut self, index: usize, op: &'h Op) -> Option<Site> {
        match op {
            Op::Mark(Mark::Note(note)) => self.enter(note),
            Op::Mark(_) | Op::Reserve { .. } => {}
            Op::Sync { file } => return Some(self.file_site(index, *file)),
            Op::SyncDir { dir } => return Some(self.dir_site(index, dir)),
            Op::Append { file, offset: 0, bytes } => {
                let path = self.history.recording.first_name(*file).unwrap();
                self.files.insert(*file, File { kind: kind(path, bytes), last: Last::Begin });
            }
            Op::Append { file, bytes, .. } => {
                self.files.get_mut(file).unwrap().last = Last::Append(bytes.len())
            }
            Op::Truncate { file, .. } => self.files.get_mut(file).unwrap().last = Last::Truncate,
            _ => _ = op.names_of().map(|dir| self.names.insert(dir, op)),
        }
        None
    }

    fn enter(&mut self, note: &str) {
        let phases = [OPENING, RUNNING, CLOSING, CHECKPOINTING];
        let Some(phase) = phases.into_iter().find(|phase| *phase == note) else { return };
        self.phase = phase;
        self.names.clear();
        self.files.values_mut().for_each(|file| file.last = Last::Nothing);
    }

    fn file_site(&self, index: usize, file: FileId) -> Site {
        let File { kind, last } = self.files[&file];
        let next = self.history.recording.ops()[index + 1..].iter().find(|op| !matches!(op, Op::Mark(_)));
        let next_is_in = |wanted| matches!(next, Some(Op::Append { file, .. }) if self.files.get(file).is_some_and(|file| file.kind == wanted));
        match (kind, last, self.phase) {
            (Kind::Identity, ..) => Site::IdentityBytes,
            (Kind::Hint, ..) => Site::CheckpointHint,
            (Kind::Merged, ..) => Site::MergeOutput,
            (Kind::Table, ..) => match self.maker(index, file) {
                Maker::Flush => Site::FlushedTable,
                Maker::Compaction => Site::CompactedTable,
                Maker::Load => Site::LoadedTable,
            },
            (Kind::Manifest, Last::Begin, _) => Site::ManifestBytes,
            (Kind::Manifest, Last::Truncate, _) => Site::OpeningTornEdit,
            (Kind::Manifest, Last::Nothing, _) => Site::OpeningManifest,
            (Kind::Manifest, Last::Append(..10), CHECKPOINTING) => Site::CheckpointManifestEnd,
            (Kind::Manifest, Last::Append(..10), _) => Site::ManifestEnd,
            (Kind::Manifest, Last::Append(_), _) => Site::ManifestEdit,
            (Kind::Log, Last::Begin, _) if next_is_in(Kind::Manifest) => Site::MergeReplacements,
            (Kind::Log, Last::Begin, _) => Site::LogHeader,
            (Kind::Log, Last::Truncate, OPENING) => Site::OpeningTornTail,
            (Kind::Log, Last::Truncate, CLOSING) if next_is_in(Kind::Log) => Site::ClosingActive,
            (Kind::Log, Last::Truncate, _) => Site::LogSeal,
            (Kind::Log, Last::Nothing, OPENING) => Site::OpeningActive,
            (Kind::Log, ..) if next_is_in(Kind::Manifest) => Site::MergeReplacements,
            (Kind::Log, ..) => Site::DurableWrite,
        }
    }

    /// What the edit says that names a table: a flush takes a log out of the list, a compaction takes
    /// tables out, a load nothing.
    fn maker(&self, index: usize, table: FileId) -> Maker {
        let name = |file| self.history.recording.first_name(file).and_then(Path::file_name).unwrap();
        let number = match filename::parse(name(table).to_str().unwrap()) {
            Some(FileName::Table(number)) => number,
            other => unreachable!("{other:?}"),
        };
        let edits = self.history.recording.ops()[index..].iter().filter_map(|op| match op {
            Op::Append { file, bytes, .. } if name(*file) == "MANIFEST" => edit(bytes),
            _ => None,
        });
        let names_it = |edit: &Edit<LiveFile>| edit.add.iter().any(|(other, _)| *other == number);
        let is_log = |number: &u64| {
            let is_it =
                |op: &Op| matches!(op, Op::Create { path, .. } if path.ends_with(filename::wal(*number)));
            self.history.recording.ops().iter().any(is_it)
                || self
                    .history
                    .recording
                    .base()
                    .names
                    .keys()
                    .any(|path| path.ends_with(filename::wal(*number)))
        };
        match edits.into_iter().find(names_it) {
            Some(edit) if edit.remove.is_empty() => Maker::Load,
            Some(edit) if !edit.remove.iter().any(is_log) => Maker::Compaction,
            // Where the manifest was replaced there is no edit; that comes with flushes here.
            Some(_) | None => Maker::Flush,
        }
    }

    fn dir_site(&self, index: usize, dir: &Path) -> Site {
        let is_store = dir == Path::new(self.history.setting.path)
            || self.history.checkpoints.iter().any(|(dest, _)| dir == Path::new(dest));
        let ends = |path: &Path, end: &str| path.to_str().unwrap().ends_with(end);
        match self.names.get(dir) {
            _ if !is_store => Site::ParentOfTheStore,
            Some(Op::Rename { to, .. }) if ends(to, "MANIFEST") => Site::ManifestName,
            Some(Op::Rename { to, .. }) if ends(to, "ENGINE") => Site::IdentityName,
            Some(Op::Create { file, .. }) if self.files[file].kind == Kind::Log => Site::LogName,
            Some(Op::Create { file, .. }) if self.files[file].kind == Kind::Table => {
                match self.maker(index, *file) {
                    Maker::Flush => Site::FlushedNames,
                    Maker::Compaction => Site::CompactedNames,
                    Maker::Load => Site::LoadedNames,
                }
            }
            Some(Op::Create { .. }) => Site::MergeNames,
            _ => Site::OpeningNames,
        }
    }
}
