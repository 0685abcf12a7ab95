//! The header of a log: shown, and worked out where it is damaged.

use crate::codec::Reader;
use crate::engine::filename::{self, FileName};
use crate::engine::identity::Identity;
use crate::engine::kind::EngineKind;
use crate::engine::lsm::table::format::Salt;
use crate::engine::lsm::version::edit::LiveFile;
use crate::engine::manifest;
use crate::error::{Error, Result};
use crate::inspect::bytes::Bytes;
use crate::inspect::scan::{Likely, Piece, Scan};
use crate::inspect::table::TableFile;
use crate::inspect::text::{Text, quoted};
use crate::record::frame::{HEADER_LEN, Header, MAGIC};
use crate::vfs::DirEntry;
use crate::vfs::dir::Dir;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The header that a file has; `None` if it is cut or damaged.
pub(super) fn read(bytes: &mut Bytes) -> Option<Header> {
    Header::decode(bytes.get(0, HEADER_LEN as usize))
}

/// The header that a file must have had, as some of its records prove: the first of these with which a
/// record's checksum is right. Looks at the first `upto` bytes.
pub(super) fn prove(bytes: &Bytes, candidates: &[Header], likely: Likely, upto: u64) -> Option<Header> {
    candidates.iter().copied().find(|header| {
        let mut scan = Scan::new(bytes.elsewhere(), *header, likely, upto);
        std::iter::from_fn(|| scan.next_piece()).any(|piece| matches!(piece, Piece::Record(_)))
    })
}

/// The store id that most log headers in the directory agree on: what is left to ask when the identity
/// file can not say it.
pub(super) fn vote(dir: &Dir, entries: &[DirEntry]) -> Option<u64> {
    votes(dir, entries).into_iter().max_by_key(|(_, votes)| *votes).map(|(store_id, _)| store_id)
}

/// What the identity file says; or, in words, why it can not be believed: it is missing, damaged, or another store's.
///
/// # Errors
/// What is no damage: a format that is not known, a store that is not finished.
pub(super) fn identity(dir: &Dir, entries: &[DirEntry]) -> Result<std::result::Result<Identity, String>> {
    Ok(match Identity::load(dir) {
        Ok(Some(identity)) => match other_owner(dir, entries, identity.store_id) {
            Some(owner) => Err(is_of_another(identity.store_id, owner)),
            None => Ok(identity),
        },
        Ok(None) => Err("the identity file is missing".to_string()),
        Err(error @ (Error::UnknownFormat { .. } | Error::Unfinished { .. })) => return Err(error),
        Err(error) => Err(error.to_string()),
    })
}

/// The store id that all log headers in the directory have, if it is not the one that the identity file says and
/// no table has that one either: then the identity file is another store's.
pub(super) fn other_owner(dir: &Dir, entries: &[DirEntry], said: u64) -> Option<u64> {
    let votes = votes(dir, entries);
    let (&owner, _) = votes.first_key_value().filter(|_| votes.len() == 1)?;
    let has_table = || {
        entries.iter().any(|entry| match filename::parse(&entry.name) {
            Some(FileName::Table(number)) => Bytes::open(dir, &entry.name)
                .is_ok_and(|bytes| TableFile::is_salted_with(&bytes, Salt::new(said, number))),
            _ => false,
        })
    };
    (owner != said && !has_table()).then_some(owner)
}

/// What is said of an identity file that is another store's.
pub(super) fn is_of_another(said: u64, owner: u64) -> String {
    format!("the identity file is that of another store, {said:016x}: all headers of logs say {owner:016x}")
}

/// How many log headers in the directory have which store id.
fn votes(dir: &Dir, entries: &[DirEntry]) -> BTreeMap<u64, usize> {
    let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in entries {
        let is_log = matches!(
            filename::parse(&entry.name),
            Some(FileName::Manifest | FileName::Segment(_) | FileName::Hint(_) | FileName::Wal(_))
        );
        if let Some(header) =
            is_log.then(|| Bytes::open(dir, &entry.name).ok()).flatten().and_then(|mut b| read(&mut b))
        {
            *votes.entry(header.store_id).or_default() += 1;
        }
    }
    votes
}

/// The engine that most files in the directory are of; if there are none, the one whose edits the
/// manifest holds.
pub(super) fn likely_engine(dir: &Dir, entries: &[DirEntry]) -> EngineKind {
    let count = |is_its: fn(FileName) -> bool| {
        entries.iter().filter(|entry| filename::parse(&entry.name).is_some_and(is_its)).count()
    };
    let bitcask = count(|name| matches!(name, FileName::Segment(_) | FileName::Hint(_)));
    let lsm = count(|name| matches!(name, FileName::Wal(_) | FileName::Table(_)));
    let has_edits = || {
        let mut bytes = Bytes::open(dir, filename::MANIFEST).ok()?;
        let header = read(&mut bytes)?;
        manifest::read::<LiveFile>(dir, header.store_id).ok()
    };
    match bitcask.cmp(&lsm) {
        Ordering::Less => EngineKind::Lsm,
        Ordering::Equal if has_edits().is_some() => EngineKind::Lsm,
        Ordering::Equal | Ordering::Greater => EngineKind::Bitcask,
    }
}

/// The header's fields, one a row. `expected` is what the file's place says that it should be.
pub(super) fn explain(text: &mut Text<'_>, bytes: &mut Bytes, expected: Option<Header>) -> Result<()> {
    let head = bytes.get(0, HEADER_LEN as usize);
    let Some(&head) = head.first_chunk::<{ HEADER_LEN as usize }>() else {
        let len = bytes.len();
        return text.data(bytes, 0, len, "DAMAGED: the header is cut");
    };
    let mut reader = Reader::new(&head[8..]);
    let fields = (reader.u64(), reader.u64(), reader.u32(), reader.u32());
    let (Some(store_id), Some(number), Some(kind), Some(sum)) = fields else { return Ok(()) };
    let agree = |is: bool, what: &'static str| if is { what } else { "BAD: not what it should be" };
    let magic = agree(head[..8] == MAGIC[..], "a record log, format 1");
    text.row(0, &head[..8], &format!("magic = {}", quoted(&head[..8], 20)), magic)?;
    let meaning = agree(expected.is_none_or(|e| e.store_id == store_id), "the store it belongs to");
    text.row(8, &head[8..16], &format!("store_id = {store_id:016x}"), meaning)?;
    let meaning = agree(expected.is_none_or(|e| e.number == number), "the file's number");
    text.row(16, &head[16..24], &format!("number = {number}"), meaning)?;
    let meaning = agree(expected.is_none_or(|e| e.kind == kind), kind_name(kind));
    text.row(24, &head[24..28], &format!("kind = {kind}"), meaning)?;
    let right = crc32c::crc32c(&head[..28]);
    text.row(28, &head[28..], &format!("checksum = {sum:08x}"), &verdict(right, sum, "of the header so far"))
}

/// What a checksum's row says.
pub(super) fn verdict(right: u32, found: u32, of: &str) -> String {
    match right == found {
        true => format!("ok: CRC-32C {of}"),
        false => format!("BAD: should be {right:08x}"),
    }
}

/// What a log kind is called.
pub(super) fn kind_name(kind: u32) -> &'static str {
    match kind {
        1 => "a manifest",
        2 => "a segment that writers appended",
        3 => "a segment that a merge wrote",
        4 => "a hint",
        5 => "a write-ahead log",
        _ => "BAD: no kind of log",
    }
}
