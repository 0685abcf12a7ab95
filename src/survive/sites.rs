//! Which line of the code a sync in a recording comes from.

use crate::engine::filename::{self, FileName};
use crate::engine::kind::EngineKind;
use crate::engine::lsm::version::edit::LiveFile;
use crate::engine::manifest::Edit;
use crate::record::frame::{Header, Shape};
use crate::survive::history::{CHECKPOINTING, CLOSING, History, MIGRATING, OPENING, RUNNING};
use crate::vfs::memory::recording::{FileId, Mark, Op};
use std::collections::HashMap;
use std::path::Path;

/// A place in the code that syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`Site::words` says what each is")]
pub enum Site {
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

impl Site {
    /// All of them.
    pub const ALL: [Site; 28] = [
        Site::ParentOfTheStore,
        Site::IdentityBytes,
        Site::IdentityName,
        Site::ManifestBytes,
        Site::ManifestName,
        Site::ManifestEdit,
        Site::ManifestEnd,
        Site::LogHeader,
        Site::LogName,
        Site::LogSeal,
        Site::DurableWrite,
        Site::MergeOutput,
        Site::MergeNames,
        Site::MergeReplacements,
        Site::FlushedTable,
        Site::CompactedTable,
        Site::LoadedTable,
        Site::FlushedNames,
        Site::CompactedNames,
        Site::LoadedNames,
        Site::ClosingActive,
        Site::OpeningManifest,
        Site::OpeningTornEdit,
        Site::OpeningNames,
        Site::OpeningActive,
        Site::OpeningTornTail,
        Site::CheckpointHint,
        Site::CheckpointManifestEnd,
    ];

    /// Its name, as on the command line, and what is synced there.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Site::ParentOfTheStore => ("parent", "the directories above a new store"),
            Site::IdentityBytes => ("identity-bytes", "the identity file, before its name"),
            Site::IdentityName => ("identity-name", "the name of the identity file"),
            Site::ManifestBytes => ("manifest-bytes", "a new manifest, before its name"),
            Site::ManifestName => ("manifest-name", "the name of a new manifest"),
            Site::ManifestEdit => ("manifest-edit", "an edit of the manifest"),
            Site::ManifestEnd => ("manifest-end", "the end of the manifest, at a close"),
            Site::LogHeader => ("log-header", "the header of a new log"),
            Site::LogName => ("log-name", "the name of a new log"),
            Site::LogSeal => ("log-seal", "a full log, before the next one"),
            Site::DurableWrite => ("durable-write", "a write that is acknowledged as durable"),
            Site::MergeOutput => ("merge-output", "a segment that a merge has written"),
            Site::MergeNames => ("merge-names", "the names of a merge's segments"),
            Site::MergeReplacements => {
                ("merge-replacements", "what replaced the values that a merge leaves out")
            }
            Site::FlushedTable => ("flushed-table", "the table of a flush"),
            Site::CompactedTable => ("compacted-table", "a table of a compaction"),
            Site::LoadedTable => ("loaded-table", "a table of a load"),
            Site::FlushedNames => ("flushed-names", "the name of a flush's table"),
            Site::CompactedNames => ("compacted-names", "the names of a compaction's tables"),
            Site::LoadedNames => ("loaded-names", "the names of a load's tables"),
            Site::ClosingActive => ("closing-log", "the log that grows, at a close"),
            Site::OpeningManifest => ("opening-manifest", "the manifest that an opening has read"),
            Site::OpeningTornEdit => ("opening-torn-edit", "the cut of a torn edit"),
            Site::OpeningNames => ("opening-names", "the names that an opening has read"),
            Site::OpeningActive => ("opening-log", "the log that an opening has read"),
            Site::OpeningTornTail => ("opening-torn-tail", "the cut of a torn log"),
            Site::CheckpointHint => ("checkpoint-hint", "a hint in a checkpoint"),
            Site::CheckpointManifestEnd => ("checkpoint-manifest-end", "the end of a checkpoint's manifest"),
        }
    }

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// Why no crash shows the loss of this sync; `None` if one does. Tests hold that.
    pub fn why_not_needed(self, engine: EngineKind) -> Option<&'static str> {
        NOT_NEEDED.iter().find(|(site, of, _)| *site == self && of.contains(&engine)).map(|(.., why)| *why)
    }
}

/// Syncs whose loss no crash shows, and why they are there or could go.
const NOT_NEEDED: [(Site, &[EngineKind], &str); 4] = [
    (
        Site::ManifestEnd,
        &[EngineKind::Bitcask, EngineKind::Lsm],
        "The `Close` of a manifest promises nothing that a crash could break: all edits before it were \
         synced, each in its turn. It is for damage: with it, a flipped bit in the last edit is told from \
         a torn one, and the sync makes that so after a power cut too.",
    ),
    (
        Site::CheckpointManifestEnd,
        &[EngineKind::Bitcask],
        "As above; and what this sync covers beside the `Close` was synced when the manifest was put in \
         place.",
    ),
    (
        Site::CheckpointHint,
        &[EngineKind::Bitcask],
        "A hint is never needed and never trusted: the others are not synced either. `Dir::copy` syncs \
         because it is also what takes the place of a link, and could leave that to its caller.",
    ),
    (
        Site::OpeningTornEdit,
        &[EngineKind::Bitcask, EngineKind::Lsm],
        "One edit at most is not durable, so behind a torn one there is no whole one that could come back: \
         where the cut is lost, the next edit stands before garbage, as a torn one does. The same line \
         syncs what a killed process left, and that is needed: `OpeningManifest`.",
    ),
];

/// The syncs of a history, and where they come from.
pub fn sites(history: &History) -> Vec<(usize, Site)> {
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
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
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
pub fn edit(record: &[u8]) -> Option<Edit<LiveFile>> {
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
            Op::Mark(_) | Op::Reserve { .. } | Op::WriteAgain { .. } | Op::SyncFailed { .. } => {}
            Op::Sync { file } => return Some(self.file_site(index, *file)),
            Op::SyncDir { dir } => return Some(self.dir_site(index, dir)),
            Op::Append { file, offset: 0, bytes } => {
                let path = self.history.recording.first_name(*file).unwrap_or(Path::new(""));
                self.files.insert(*file, File { kind: kind(path, bytes), last: Last::Begin });
            }
            Op::Append { file, bytes, .. } => self.file(*file).last = Last::Append(bytes.len()),
            Op::Truncate { file, .. } => self.file(*file).last = Last::Truncate,
            _ => _ = op.names_of().map(|dir| self.names.insert(dir, op)),
        }
        None
    }

    /// A file of which nothing was seen is a log: all others begin with bytes.
    fn file(&mut self, file: FileId) -> &mut File {
        self.files.entry(file).or_insert(File { kind: Kind::Log, last: Last::Nothing })
    }

    fn kind(&self, file: FileId) -> Option<Kind> {
        self.files.get(&file).map(|file| file.kind)
    }

    fn enter(&mut self, note: &str) {
        let phases = [OPENING, RUNNING, CLOSING, CHECKPOINTING, MIGRATING];
        let Some(phase) = phases.into_iter().find(|phase| *phase == note) else { return };
        self.phase = phase;
        self.names.clear();
        self.files.values_mut().for_each(|file| file.last = Last::Nothing);
    }

    fn file_site(&self, index: usize, file: FileId) -> Site {
        let (kind, last) =
            self.files.get(&file).map_or((Kind::Log, Last::Nothing), |file| (file.kind, file.last));
        let next = self.history.recording.ops()[index + 1..].iter().find(|op| !matches!(op, Op::Mark(_)));
        let next_is_in =
            |wanted| matches!(next, Some(Op::Append { file, .. }) if self.kind(*file) == Some(wanted));
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
        let recording = &self.history.recording;
        let name = |file| recording.first_name(file).and_then(Path::file_name).and_then(|name| name.to_str());
        let Some(FileName::Table(number)) = name(table).and_then(filename::parse) else {
            return Maker::Flush;
        };
        let edits = recording.ops()[index..].iter().filter_map(|op| match op {
            Op::Append { file, bytes, .. } if name(*file) == Some("MANIFEST") => edit(bytes),
            _ => None,
        });
        let names_it = |edit: &Edit<LiveFile>| edit.add.iter().any(|(other, _)| *other == number);
        let created = recording.ops().iter().filter_map(|op| match op {
            Op::Create { path, .. } => Some(path),
            _ => None,
        });
        let names: Vec<_> = recording.base().names.keys().chain(created).collect();
        let is_log = |number: &u64| names.iter().any(|path| path.ends_with(filename::wal(*number)));
        match edits.into_iter().find(names_it) {
            Some(edit) if edit.remove.is_empty() => Maker::Load,
            Some(edit) if !edit.remove.iter().any(is_log) => Maker::Compaction,
            // Where the manifest was replaced there is no edit; that comes with flushes here.
            Some(_) | None => Maker::Flush,
        }
    }

    fn dir_site(&self, index: usize, dir: &Path) -> Site {
        let is_store = dir == Path::new(&self.history.setting.path)
            || self.history.made.iter().any(|made| dir == Path::new(&made.path));
        let ends = |path: &Path, end: &str| path.to_str().is_some_and(|path| path.ends_with(end));
        match self.names.get(dir) {
            _ if !is_store => Site::ParentOfTheStore,
            Some(Op::Rename { to, .. }) if ends(to, "MANIFEST") => Site::ManifestName,
            Some(Op::Rename { to, .. }) if ends(to, "ENGINE") => Site::IdentityName,
            Some(Op::Create { file, .. }) if self.kind(*file) == Some(Kind::Log) => Site::LogName,
            Some(Op::Create { file, .. }) if self.kind(*file) == Some(Kind::Table) => {
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
