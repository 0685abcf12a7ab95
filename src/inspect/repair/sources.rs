//! Which files of a damaged store may hold what is to be saved.

use crate::engine::bitcask::recover::lacks_edit_of;
use crate::engine::bitcask::segment::{Origin, Sealed, SegmentMeta, SegmentState};
use crate::engine::filename::{self, FileName};
use crate::engine::manifest::{self, Files};
use crate::error::{Error, Result};
use crate::inspect::header;
use crate::vfs::DirEntry;
use crate::vfs::dir::Dir;
use std::collections::BTreeSet;

/// A segment that may hold something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// The number in its name.
    pub(super) number: u64,
    /// The store that it should belong to.
    pub(super) store_id: u64,
    /// What is known of it, if the manifest says that it does not change any more.
    pub(super) sealed: Option<Sealed>,
    /// So much of it was durable, all of a sealed one, if the manifest names it.
    pub(super) durable: Option<u64>,
    /// Whether a merge wrote it, as the manifest says.
    pub(super) is_output: bool,
    /// No record in it is older.
    pub(super) first_seqno: u64,
    /// Whether the manifest names it but it is not there.
    pub(super) is_missing: bool,
}

/// The segments of a damaged store.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Those that are live; all, if the manifest can not say which.
    pub(super) live: Vec<Source>,
    /// Those that the manifest does not name.
    pub(super) leftovers: Vec<Source>,
    /// Whether the manifest could say which are live.
    pub(super) is_known: bool,
    /// What was found on the way.
    pub(super) notes: Vec<String>,
}

impl Sources {
    /// Looks for the segments of the directory.
    pub(super) fn find(dir: &Dir) -> Result<Sources> {
        let entries = dir.list()?.unwrap_or_default();
        let mut sources = Sources::default();
        let store_id = sources.store_id(dir, &entries)?;
        let found: BTreeSet<u64> = entries.iter().filter_map(number).collect();
        let source = |number, meta: Option<&SegmentMeta>| Source {
            number,
            store_id,
            sealed: meta.and_then(sealed),
            durable: meta.map(SegmentMeta::durable),
            is_output: meta.is_some_and(|meta| meta.origin == Origin::Merge),
            first_seqno: meta.map_or(0, |meta| meta.first_seqno),
            is_missing: !found.contains(&number),
        };
        match sources.manifest(dir, store_id, &found) {
            Some(files) => {
                sources.is_known = true;
                let mut live: Vec<_> = files.live.iter().collect();
                live.sort_by_key(|(number, meta)| (meta.first_seqno, **number));
                sources.live = live.into_iter().map(|(number, meta)| source(*number, Some(meta))).collect();
                let leftover = found.iter().filter(|number| !files.live.contains_key(number));
                sources.leftovers = leftover.map(|number| source(*number, None)).collect();
            }
            None => sources.live = found.iter().map(|number| source(*number, None)).collect(),
        }
        Ok(sources)
    }

    /// The store's id: from the identity file, or else from the headers.
    fn store_id(&mut self, dir: &Dir, entries: &[DirEntry]) -> Result<u64> {
        let why = match header::identity(dir, entries)? {
            Ok(identity) => return Ok(identity.store_id),
            Err(why) => why,
        };
        let voted = header::vote(dir, entries);
        let store_id = voted.ok_or_else(|| match entries.iter().any(|entry| number(entry).is_some()) {
            true => Error::corruption(
                dir.path(),
                0,
                format!("nothing can be saved: {why}, and no header is whole"),
            ),
            false => Error::NoStore { path: dir.path().to_path_buf() },
        })?;
        self.notes.push(format!("{why}; the store's id, {store_id:016x}, is from the headers of its logs"));
        Ok(store_id)
    }

    /// What the manifest says, if it can be believed.
    fn manifest(&mut self, dir: &Dir, store_id: u64, found: &BTreeSet<u64>) -> Option<Files<SegmentMeta>> {
        let why = match manifest::read::<SegmentMeta>(dir, store_id) {
            Ok(read) => {
                let unnamed = found.iter().filter(|number| !read.files.live.contains_key(number));
                match lacking(unnamed.map(|number| lacks_edit_of(dir, store_id, &read.files, *number))) {
                    Some(why) => why,
                    None => return Some(read.files),
                }
            }
            Err(error) => error.to_string(),
        };
        self.notes.push(format!(
            "{why}; all segments were read, also those that a merge may have replaced: keys that were \
             removed before it may be there again"
        ));
        None
    }
}

fn number(entry: &DirEntry) -> Option<u64> {
    match filename::parse(&entry.name) {
        Some(FileName::Segment(number)) if !entry.is_dir => Some(number),
        _ => None,
    }
}

/// Why a manifest can not be believed, by what each of the files says that it does not name. What can not be read
/// says nothing: it may be what an edit that is missing had named.
pub(super) fn lacking(unnamed: impl Iterator<Item = Result<bool>>) -> Option<String> {
    unnamed.into_iter().find_map(|is_lacking| match is_lacking {
        Ok(false) => None,
        Ok(true) => Some("the manifest lacks its last edits".to_string()),
        Err(error) => Some(format!("{error}, and the manifest may lack its last edits")),
    })
}

fn sealed(meta: &SegmentMeta) -> Option<Sealed> {
    match meta.state {
        SegmentState::Sealed(sealed) => Some(sealed),
        SegmentState::Active { .. } => None,
    }
}
