//! Verify: proves a store's directory whole, or lists all that is wrong with it. Changes nothing.
//!
//! Opening a store checks what it needs, and stops at the first damage. This reads every byte of every
//! live file and goes on behind damage: identity, every edit of the manifest, every live file with its
//! length and checksum, every record with its own checksum, its group and its sequence number, every
//! hint against its segment; and in the end that opening would see what the logs say. Of an LSM tree:
//! every log, every part of every table and that they agree with each other and with the manifest, and
//! in one pass over all of it that of each key what is newer stands higher.
//!
//! Not everything that is odd is damage. What a crash may leave is said in [`Report::notes`]: a torn tail
//! of the active segment or of the manifest, an unfinished hint, files that no edit names. The next
//! opening puts them right and loses nothing that was acknowledged as durable.

mod hint;
mod log;
mod manifest;
mod opening;
pub mod report;
mod segment;
mod table;
mod tree;

use crate::engine::bitcask::keydir::Keydir;
use crate::engine::bitcask::segment::{SegmentMeta, SegmentState};
use crate::engine::claim::may_create;
use crate::engine::filename::{self, ENGINE, FileName};
use crate::engine::identity::Identity;
use crate::engine::kind::EngineKind;
use crate::engine::lsm::comparator::Order;
use crate::error::{Error, Result};
use crate::inspect::access::may_read;
use crate::inspect::bytes::Bytes;
use crate::inspect::header;
use crate::inspect::verify::report::{Check, Damage, Report};
use crate::vfs::dir::Dir;
use crate::vfs::{DirEntry, LockMode, Vfs};
use std::path::Path;
use std::sync::Arc;

/// Checks all of the store at `path`. Damage is no error of this function: it is in the report.
///
/// # Errors
/// [`Error::NoStore`] where there is none; [`Error::Locked`] while somebody writes to it; whatever keeps
/// it from being listed; [`Error::Io`] if one of its files may not be read.
pub fn verify(disk: Arc<dyn Vfs>, path: &Path) -> Result<Report> {
    verify_ordered(disk, path, &Order::Bytewise)
}

/// The same, of a tree that may be in this order of one's own. Of one in another, which only its owner knows, all
/// is checked that does not hang on it, and a note says so.
///
/// # Errors
/// As [`verify`].
pub fn verify_ordered(disk: Arc<dyn Vfs>, path: &Path, own: &Order) -> Result<Report> {
    let dir = Dir::new(disk, path);
    if dir.list()?.is_none() {
        return Err(Error::NoStore { path: path.to_path_buf() });
    }
    let _lock = dir.lock(LockMode::Shared)?;
    let mut entries = dir.list()?.unwrap_or_default();
    entries.retain(|entry| !entry.is_dir);
    may_read(&dir, &entries)?;
    let report = Report { path: path.display().to_string(), ..Report::default() };
    let own = own.clone();
    let mut verifier = Verifier { dir, entries, store_id: 0, own, logs_are_whole: false, report };
    match verifier.identity()? {
        Some(EngineKind::Lsm) => verifier.tree(),
        Some(EngineKind::Bitcask | EngineKind::Memory) => verifier.store(),
        None => verifier.note("without the store's id no checksum can be checked".into()),
    }
    Ok(verifier.report)
}

/// A verification in progress.
struct Verifier {
    dir: Dir,
    entries: Vec<DirEntry>,
    store_id: u64,
    /// The order of keys that the caller knows, beside those that have a name here.
    own: Order,
    /// Whether no live segment is damaged, so that what the logs say is all there is to say.
    logs_are_whole: bool,
    report: Report,
}

impl Verifier {
    /// Whose store it is: which engine is to check it, if anything says the id that salts its checksums.
    fn identity(&mut self) -> Result<Option<EngineKind>> {
        let nothing = || Error::NoStore { path: self.dir.path().to_path_buf() };
        let has_files = self.entries.iter().any(|entry| filename::parse(&entry.name).is_some());
        let reason = match Identity::load(&self.dir) {
            Ok(Some(identity)) => match header::other_owner(&self.dir, &self.entries, identity.store_id) {
                Some(owner) => header::is_of_another(identity.store_id, owner),
                None => {
                    self.store_id = identity.store_id;
                    self.check("identity", ENGINE, 1, 0);
                    self.report.engine = identity.engine.clone();
                    return Ok(Some(identity.engine.parse()?));
                }
            },
            // Without an identity file it is a store that lost it, or one that never was.
            Ok(None) if !has_files || may_create(&self.dir).is_ok() => return Err(nothing()),
            Ok(None) => "the identity file is missing".to_string(),
            Err(error @ (Error::UnknownFormat { .. } | Error::Unfinished { .. })) => return Err(error),
            Err(Error::Corruption { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        self.damage(ENGINE, 0, reason);
        let engine = header::likely_engine(&self.dir, &self.entries);
        self.report.engine = engine.name().into();
        let Some(store_id) = header::vote(&self.dir, &self.entries) else { return Ok(None) };
        self.store_id = store_id;
        Ok(Some(engine))
    }

    fn store(&mut self) {
        let by_logs = Keydir::new(self.store_id);
        match self.manifest::<SegmentMeta>() {
            Some(files) => {
                let mut live: Vec<_> = files.live.iter().map(|(number, meta)| (*number, meta)).collect();
                live.sort_by_key(|(number, meta)| (meta.first_seqno, *number));
                self.order(&live);
                let before = self.report.damage.len();
                for (number, meta) in &live {
                    self.segment(*number, Some(meta), &by_logs);
                }
                self.logs_are_whole = self.report.damage.len() == before;
                for (number, meta) in &live {
                    self.hint(*number, meta, &by_logs);
                }
                self.leftovers(|number| files.live.contains_key(&number));
            }
            None => {
                self.note(
                    "without a manifest the segments are checked one by one, but not how they fit".into(),
                );
                for number in self.segments() {
                    self.segment(number, None, &by_logs);
                }
            }
        }
        self.opening(&by_logs);
    }

    /// Whether the live segments follow each other in age, and the newest alone grows.
    fn order(&mut self, live: &[(u64, &SegmentMeta)]) {
        let mut before = 0;
        for (i, (number, meta)) in live.iter().enumerate() {
            let is_newest = i + 1 == live.len();
            if meta.first_seqno <= before {
                self.damage(filename::MANIFEST, 0, format!("segment {number} overlaps an older one"));
            }
            match &meta.state {
                SegmentState::Sealed(sealed) => {
                    if sealed.last_seqno.saturating_add(1) < meta.first_seqno {
                        self.damage(filename::MANIFEST, 0, format!("segment {number} ends before it begins"));
                    }
                    if is_newest {
                        self.damage(filename::MANIFEST, 0, "the newest segment is sealed".into());
                    }
                    before = before.max(sealed.last_seqno);
                }
                SegmentState::Active { .. } if !is_newest => {
                    let reason = format!("segment {number} is active, but not the newest");
                    self.damage(filename::MANIFEST, 0, reason);
                }
                SegmentState::Active { .. } => {}
            }
        }
        self.check("live segments", filename::MANIFEST, live.len() as u64, 0);
    }

    /// Names what no edit names.
    fn leftovers(&mut self, is_live: impl Fn(u64) -> bool) {
        let names: Vec<_> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        for name in names {
            match filename::parse(&name) {
                Some(FileName::Segment(number) | FileName::Hint(number)) if is_live(number) => {}
                Some(FileName::Segment(_) | FileName::Hint(_) | FileName::Temporary) => self.left_over(&name),
                Some(FileName::Wal(_) | FileName::Table(_)) => {
                    self.note(format!("{name}: a file of another engine"));
                }
                Some(FileName::Engine | FileName::Manifest) | None => {}
            }
        }
    }

    /// The numbers of all segments that are there.
    fn segments(&self) -> Vec<u64> {
        let number = |entry: &DirEntry| match filename::parse(&entry.name) {
            Some(FileName::Segment(number)) => Some(number),
            _ => None,
        };
        self.entries.iter().filter_map(number).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    fn check(&mut self, what: &'static str, file: &str, count: u64, bytes: u64) {
        self.report.checked.push(Check { what, file: file.into(), count, bytes });
    }

    fn damage(&mut self, name: &str, offset: u64, reason: String) {
        let path = self.dir.join(name).display().to_string();
        self.report.damage.push(Damage { path, offset, reason });
    }

    fn left_over(&mut self, name: &str) {
        self.note(format!("{name}: left over; the next opening for writing removes it"));
    }

    fn note(&mut self, note: String) {
        self.report.notes.push(note);
    }

    /// Opens a file; what keeps it from being opened is damage.
    fn open(&mut self, name: &str) -> Option<Bytes> {
        if !self.has(name) {
            self.damage(name, 0, "the file is missing".into());
            return None;
        }
        let opened = Bytes::open(&self.dir, name);
        opened.map_err(|error| self.damage(name, 0, error.to_string())).ok()
    }

    fn unreadable(&mut self, name: &str, bytes: &Bytes) {
        for (offset, reason) in bytes.unreadable() {
            self.damage(name, *offset, format!("can not be read: {reason}"));
        }
    }
}

/// Places in a log at which no whole group stands.
#[derive(Debug, Default)]
struct Breaks {
    places: Vec<(u64, String)>,
    /// The most that a record said was durable.
    claimed: u64,
}

impl Breaks {
    fn add(&mut self, offset: u64, reason: impl Into<String>) {
        self.places.push((offset, reason.into()));
    }

    /// Splits the places into those that were durable once, so that they are damage, and the first one
    /// of those that may be what a crash leaves: a torn tail.
    ///
    /// `durable` is a length known from elsewhere.
    fn split(self, durable: u64) -> (Vec<(u64, String)>, Option<u64>) {
        let known = self.claimed.max(durable);
        let (damaged, torn): (Vec<_>, Vec<_>) =
            self.places.into_iter().partition(|(offset, _)| *offset < known);
        (damaged, torn.first().map(|(offset, _)| *offset))
    }
}
