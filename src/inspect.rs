//! Looking at a store of either engine without changing it: any file as text, byte by byte; [`find`], which
//! lists every version of a key; [`verify`], which proves a directory whole; and [`repair`], which copies
//! what is whole of a damaged one to another place.
//!
//! Nothing here trusts what it reads: no length is believed beyond the end of its file, no checksum is
//! taken for granted, and what is damaged is shown as far as it makes sense, with the offset and the
//! reason where it stops to. Files are read through a window, so that their size does not matter.
//!
//! | view | a file | a directory |
//! |---|---|---|
//! | [`View::Summary`] | what it is, what it holds, how it ends | the store, and each file in a line |
//! | [`View::Explain`] | every byte: offset, hex, field = value, meaning | each file in turn |
//! | [`View::Layout`] | its regions, drawn, with their sizes and live share | each file in turn |
//! | [`View::Entries`] | a line a record | each file in turn |
//! | [`View::Props`] | its facts, as `name=value` | the store's facts, `name=value` |
//!
//! Whether a record is live depends on the other files. So a file in a store's directory is shown with
//! the store read beside it, under the shared lock; where that can not be, the text says `liveness
//! unknown` and why. Of Bitcask recovery knows it for every record (through
//! [`recover`](crate::engine::bitcask::recover::recover)); of an LSM tree a table's entries are compared
//! with the logs, and with the tables that a get asks before it, in one pass over them.

mod access;
mod batch;
mod bytes;
mod edits;
mod entry;
pub mod find;
mod header;
mod hint;
mod identity;
mod layout;
mod log;
mod look;
pub mod repair;
mod scan;
mod segment;
mod state;
mod store;
mod sweep;
mod table;
mod tally;
mod text;
mod tree;
pub mod verify;
mod wal;

use crate::engine::bitcask::hint as bitcask_hint;
use crate::engine::bitcask::segment::Origin;
use crate::engine::filename::{self, FileName};
use crate::engine::lsm::table::format::{self, Salt};
use crate::engine::lsm::wal as lsm_wal;
use crate::engine::{identity as engine_identity, manifest};
use crate::error::{Error, Result};
use crate::inspect::bytes::Bytes;
use crate::inspect::edits::ManifestOwner;
use crate::inspect::hint::HintFile;
use crate::inspect::identity::IdentityFile;
use crate::inspect::layout::{Bar, boxes};
use crate::inspect::log::Owner;
use crate::inspect::look::Look;
use crate::inspect::scan::Scan;
use crate::inspect::segment::SegmentOwner;
use crate::inspect::table::TableFile;
use crate::inspect::tally::{Sort, Tally};
use crate::inspect::text::{Text, count};
use crate::inspect::tree::States;
use crate::inspect::wal::WalOwner;
use crate::record::frame::{HEADER_LEN, Header};
use crate::vfs::Vfs;
use crate::vfs::dir::Dir;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Where a header is damaged, a record in so many bytes has to prove what it was.
const PROVEN_BY: u64 = 16 << 20;

/// Whether the reader of the text has gone away: no error, for a program in a pipe. What else keeps the
/// text from being written is an [`Error::Io`] whose verb is `write output`.
pub fn is_closed_pipe(error: &Error) -> bool {
    text::is_closed_pipe(error)
}

/// How to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// What it is and what it holds, in a few lines.
    #[default]
    Summary,
    /// Every byte with its meaning.
    Explain,
    /// A drawing of its regions.
    Layout,
    /// A line a record.
    Entries,
    /// Names and values, for programs.
    Props,
}

/// Shows `target`, a file of a store or the directory of one, as text. The same bytes give the same text.
///
/// Fails if there is nothing of a store there, and if `out` does (see [`is_closed_pipe`]). Damage is no
/// failure: it is shown.
pub fn inspect(disk: Arc<dyn Vfs>, target: &Path, view: View, out: &mut dyn io::Write) -> Result<()> {
    let mut text = Text::new(out, target);
    match disk.list(target) {
        Ok(_) => directory(&mut text, Dir::new(disk, target), view)?,
        Err(_) => one_file(&mut text, disk, target, view)?,
    }
    text.finish()
}

fn directory(text: &mut Text<'_>, dir: Dir, view: View) -> Result<()> {
    let look = Look::open(dir)?;
    let names = look.names();
    if names.is_empty() {
        return Err(Error::NoStore { path: look.dir.path().to_path_buf() });
    }
    match view {
        View::Summary => return store::summary(text, &look),
        View::Props => return store::props(text, &look),
        View::Explain | View::Layout | View::Entries => {}
    }
    for (i, name) in names.into_iter().enumerate() {
        if i > 0 {
            text.line("")?;
        }
        let bytes = Bytes::open(&look.dir, name)?;
        show(text, &look, name, bytes, view)?;
    }
    Ok(())
}

fn one_file(text: &mut Text<'_>, disk: Arc<dyn Vfs>, target: &Path, view: View) -> Result<()> {
    let name = target.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::invalid(format!("{}: no file of a store", target.display())))?;
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let dir = Dir::new(disk, parent);
    // Before the store is read for it: the file may not be there.
    let bytes = Bytes::open(&dir, name)?;
    let look = Look::open(dir)?;
    show(text, &look, name, bytes, view)
}

/// What a file is, by its content, or else by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Identity,
    Manifest,
    Segment(u64),
    Hint(u64),
    Wal(u64),
    Table(u64),
}

impl Kind {
    fn of(name: &str, bytes: &mut Bytes) -> Option<Kind> {
        let named = match filename::parse(name.strip_suffix(".tmp").unwrap_or(name)) {
            Some(FileName::Engine) => Some(Kind::Identity),
            Some(FileName::Manifest) => Some(Kind::Manifest),
            Some(FileName::Segment(number)) => Some(Kind::Segment(number)),
            Some(FileName::Hint(number)) => Some(Kind::Hint(number)),
            Some(FileName::Wal(number)) => Some(Kind::Wal(number)),
            Some(FileName::Table(number)) => Some(Kind::Table(number)),
            _ => None,
        };
        named.or_else(|| match header::read(bytes) {
            Some(Header { kind: manifest::LOG_KIND, .. }) => Some(Kind::Manifest),
            Some(Header { kind: bitcask_hint::LOG_KIND, number, .. }) => Some(Kind::Hint(number)),
            Some(Header { kind: lsm_wal::LOG_KIND, number, .. }) => Some(Kind::Wal(number)),
            Some(Header { number, .. }) => Some(Kind::Segment(number)),
            None if bytes.get(0, 8) == engine_identity::MAGIC => Some(Kind::Identity),
            None if bytes.len() > 8 && bytes.get(bytes.len() - 8, 8) == format::MAGIC => Some(Kind::Table(0)),
            None => None,
        })
    }
}

fn show(text: &mut Text<'_>, look: &Look, name: &str, mut bytes: Bytes, view: View) -> Result<()> {
    let path = look.dir.join(name);
    let kind = Kind::of(name, &mut bytes);
    let kind = kind.ok_or_else(|| Error::invalid(format!("{}: no file of a store", path.display())))?;
    let (word, what) = match kind {
        Kind::Identity => ("identity", "an identity file"),
        Kind::Manifest => ("manifest", "a manifest"),
        Kind::Segment(_) => ("segment", "a Bitcask segment"),
        Kind::Hint(_) => ("hint", "a Bitcask hint"),
        Kind::Wal(_) => ("wal", "a write-ahead log"),
        Kind::Table(_) => ("table", "a sorted table"),
    };
    match view {
        View::Props => text.line(format_args!("file={}\nkind={word}", path.display()))?,
        _ => text.line(format_args!("{}: {what}, {}", path.display(), count(bytes.len(), "byte")))?,
    }
    if let (false, Err(reason)) = (matches!(kind, Kind::Identity | Kind::Manifest), &look.store) {
        match view {
            View::Props => text.line(format_args!("liveness=unknown: {reason}"))?,
            _ => text.line(format_args!("liveness unknown: {reason}"))?,
        }
    }
    match kind {
        Kind::Identity => show_identity(text, &mut bytes, view),
        Kind::Hint(number) => show_hint(text, &mut bytes, look, number, view),
        Kind::Segment(number) => {
            let mut owner = SegmentOwner { look, number };
            if look.store.is_ok() && matches!(view, View::Summary | View::Explain) {
                text.line(owner.role())?;
            }
            let expected = look.header(number);
            let store_id = look.store_id().unwrap_or(0);
            let likely = |origin: Origin| Header { store_id, number, kind: origin.log_kind() };
            let candidates = [likely(Origin::Log), likely(Origin::Merge)];
            show_log(text, bytes, &mut owner, expected, &candidates, view)
        }
        Kind::Table(number) => show_table(text, bytes, look, number, view),
        Kind::Wal(number) => {
            let mut owner = WalOwner { look, number };
            if look.store.is_ok() && matches!(view, View::Summary | View::Explain) {
                text.line(owner.role())?;
            }
            let likely = owner.header();
            let is_live = look.tree().is_some_and(|tree| tree.listing.wals.contains_key(&number));
            let candidates: Vec<_> = likely.into_iter().collect();
            show_log(text, bytes, &mut owner, likely.filter(|_| is_live), &candidates, view)
        }
        Kind::Manifest => {
            // Its number counts how often it was replaced: rarely more than a few times.
            let likely =
                |number| Some(Header { store_id: look.store_id()?, number, kind: manifest::LOG_KIND });
            let candidates: Vec<_> = (1..=64).filter_map(likely).collect();
            let mut owner = ManifestOwner { engine: look.engine() };
            show_log(text, bytes, &mut owner, None, &candidates, view)
        }
    }
}

fn show_identity(text: &mut Text<'_>, bytes: &mut Bytes, view: View) -> Result<()> {
    let Some(identity) = IdentityFile::read(bytes) else { return identity::cut(text, bytes) };
    match view {
        View::Summary | View::Entries => identity.summary(text),
        View::Props => identity.props(text),
        View::Layout => identity.layout(text),
        View::Explain => identity.explain(text, bytes),
    }
}

fn show_hint(text: &mut Text<'_>, bytes: &mut Bytes, look: &Look, number: u64, view: View) -> Result<()> {
    let Some(hint) = HintFile::read(bytes, look, number) else { return hint::cut(text, bytes) };
    match view {
        View::Summary => hint.summary(text, bytes),
        View::Props => hint.props(text, bytes),
        View::Layout => hint.layout(text, bytes),
        View::Entries => hint.entries(text, bytes),
        View::Explain => hint.explain(text, bytes),
    }
}

fn show_table(text: &mut Text<'_>, bytes: Bytes, look: &Look, number: u64, view: View) -> Result<()> {
    let voted = || header::vote(&look.dir, &look.entries);
    let store_id = look.store_id().or_else(voted);
    let mut file = TableFile::read(bytes, Salt::new(store_id.unwrap_or(0), number));
    let states = match (look.tree(), store_id) {
        (Some(tree), Some(store_id)) => tree.states(&look.dir, store_id, number),
        _ => States::unknown(),
    };
    if let (Some(tree), View::Summary | View::Explain) = (look.tree(), view) {
        text.line(tree.role(number))?;
    }
    if store_id.is_none() {
        text.line("whose it is can not be known here: without the store's id no checksum can be checked")?;
    }
    match view {
        View::Summary => table::show::summary(text, &mut file, &states),
        View::Props => table::show::props(text, &mut file, &states),
        View::Layout => table::show::layout(text, &mut file, &states),
        View::Entries => table::show::entries(text, &mut file, &states),
        View::Explain => table::explain::explain(text, &mut file, &states),
    }?;
    note_unreadable(text, &file.bytes)
}

/// Shows a log. Where its header is damaged, `candidates` are what it may have been.
fn show_log(
    text: &mut Text<'_>,
    mut bytes: Bytes,
    owner: &mut dyn Owner,
    expected: Option<Header>,
    candidates: &[Header],
    view: View,
) -> Result<()> {
    let found = header::read(&mut bytes);
    let likely = owner.likely();
    let header = found.or(expected).or_else(|| header::prove(&bytes, candidates, likely, PROVEN_BY));
    let salted = header.unwrap_or(Header { store_id: 0, number: 0, kind: 0 });
    let words = match (found, header) {
        (Some(header), _) if expected.is_some_and(|expected| expected != header) => {
            format!("BAD: that of store {:016x}, number {}", header.store_id, header.number)
        }
        (Some(h), _) => {
            format!("ok: store {:016x}, number {}, {}", h.store_id, h.number, header::kind_name(h.kind))
        }
        (None, Some(_)) => "DAMAGED; what it must have been is known from elsewhere".into(),
        (None, None) => "DAMAGED; without it no checksum of a record can be checked".into(),
    };
    if view == View::Explain {
        text.columns()?;
        header::explain(text, &mut bytes, expected)?;
        if found.is_none() {
            text.line(format_args!("          header: {words}"))?;
        }
    }
    let len = bytes.len();
    let mut scan = Scan::new(bytes, salted, likely, len);
    match view {
        View::Explain => log::explain(text, &mut scan, owner),
        View::Entries => log::entries(text, &mut scan, owner),
        View::Summary => Tally::take(found, &mut scan, owner, |_, _, _| {}).summary(text, &words),
        View::Props => Tally::take(found, &mut scan, owner, |_, _, _| {}).props(text),
        View::Layout => draw_log(text, found, &mut scan, owner),
    }?;
    note_unreadable(text, scan.bytes())
}

fn draw_log(
    text: &mut Text<'_>,
    header: Option<Header>,
    scan: &mut Scan,
    owner: &mut dyn Owner,
) -> Result<()> {
    let len = scan.bytes().len();
    let mut bar = Bar::new(len);
    let head = HEADER_LEN.min(len);
    bar.add(0, head, if header.is_some() { Sort::Fixed } else { Sort::Damaged });
    let tally = Tally::take(header, scan, owner, |from, to, sort| bar.add(from, to, sort));
    bar.draw(text)?;
    let mut regions =
        vec![(0, head, if header.is_some() { "header" } else { "DAMAGED: header" }.to_string())];
    for region in &tally.regions {
        regions.push((region.offset, region.end, region.words()));
    }
    boxes(text, &regions)
}

fn note_unreadable(text: &mut Text<'_>, bytes: &Bytes) -> Result<()> {
    for (at, reason) in bytes.unreadable() {
        text.line(format_args!("UNREADABLE at {at}: {reason}; shown as zeros"))?;
    }
    Ok(())
}
