//! Which line of the code a sync in a recording comes from.

use crate::crash_support::history::{CHECKPOINTING, CLOSING, History, OPENING, RUNNING};
use kvs::record::frame::Header;
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
    Manifest,
    Identity,
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
        _ => Kind::Log,
    }
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
            Op::SyncDir { dir } => return Some(self.dir_site(dir)),
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

    fn dir_site(&self, dir: &Path) -> Site {
        let is_store = dir == Path::new(self.history.setting.path)
            || self.history.checkpoints.iter().any(|(dest, _)| dir == Path::new(dest));
        let ends = |path: &Path, end: &str| path.to_str().unwrap().ends_with(end);
        match self.names.get(dir) {
            _ if !is_store => Site::ParentOfTheStore,
            Some(Op::Rename { to, .. }) if ends(to, "MANIFEST") => Site::ManifestName,
            Some(Op::Rename { to, .. }) if ends(to, "ENGINE") => Site::IdentityName,
            Some(Op::Create { file, .. }) if self.files[file].kind == Kind::Log => Site::LogName,
            Some(Op::Create { .. }) => Site::MergeNames,
            _ => Site::OpeningNames,
        }
    }
}
