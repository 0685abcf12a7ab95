//! The search for the parts of a table that no index names.
//!
//! A part does not say how long it is. But its checksum is of all before it, so one pass from where it
//! begins tries every length: the checksum so far is compared with the four bytes that follow.

use crate::codec::Reader;
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{FOOTER_LEN, Handle, Properties, Salt, TRAILER_LEN};
use crate::inspect::bytes::Bytes;
use crate::inspect::table::part::{Kind, Opened, Region, open_block};

/// The longest part that is searched for.
const LONGEST: u64 = 64 << 20;

/// Behind damage, where no part is known to begin, each place is tried with so many bytes, or twice as
/// many as the longest part had.
const NEAR: u64 = 16 << 10;

/// Bytes that are tried in all behind damage: some seconds.
const PATIENCE: u64 = 1 << 30;

/// A search.
pub(super) struct Hunt<'a> {
    pub(super) bytes: &'a mut Bytes,
    pub(super) salt: Salt,
    /// What stands before it.
    pub(super) regions: &'a [Region],
}

impl Hunt<'_> {
    /// The regions from `from` to `to`, what is lost included.
    pub(super) fn all(&mut self, from: u64, to: u64) -> Vec<Region> {
        let (mut found, mut patience) = (Vec::new(), PATIENCE);
        let (mut at, mut longest) = (from, 0);
        while at < to {
            if let Some(region) = self.part(at, to.min(at + LONGEST), &found) {
                longest = longest.max(region.end - region.at);
                at = region.end;
                found.push(region);
                continue;
            }
            let lost = at;
            at += 1;
            let near = NEAR.max(2 * longest);
            while at < to && patience > 0 {
                if self.part(at, to.min(at + near), &found).is_some() {
                    break;
                }
                patience = patience.saturating_sub(near.min(to - at));
                at += 1;
            }
            at = if patience == 0 { to } else { at };
            let is_footer = at == self.bytes.len() && at - lost == FOOTER_LEN as u64;
            let kind = if is_footer { Kind::Footer } else { Kind::Lost };
            found.push(Region { kind, at: lost, end: at });
        }
        found
    }

    /// The part that begins at `at` and ends by `to`.
    fn part(&mut self, at: u64, to: u64, found: &[Region]) -> Option<Region> {
        let bytes = self.bytes.get(at, (to - at) as usize);
        let (mut sum, mut done) = (self.salt.checksum(at, &[]), 0);
        for i in 1..bytes.len().saturating_sub(TRAILER_LEN - 1) {
            // Only behind a byte that says how the part is compressed can a checksum stand.
            if bytes[i] > 2 {
                continue;
            }
            sum = crc32c::crc32c_append(sum, &bytes[done..=i]);
            done = i + 1;
            if bytes[done..done + 4] != sum.to_le_bytes() {
                continue;
            }
            let end = done + 4;
            if let Ok(opened) = open_block(&bytes[..end], self.salt, at)
                && let Some(kind) = kind_of(&opened, self.regions, found)
            {
                return Some(Region { kind, at, end: at + end as u64 });
            }
        }
        None
    }
}

/// What a part is, by its content. An index names parts that were found before it, all that are its
/// own; so nobody's values are taken for one.
fn kind_of(opened: &Opened, before: &[Region], found: &[Region]) -> Option<Kind> {
    let mut values: Vec<Vec<u8>> = Vec::new();
    if opened.each(|_, _, entry| values.push(opened.value(entry).to_vec())).is_ok() {
        let names = |kind| values.iter().all(|value| names(value, kind, opened.at, before, found));
        return Some(match (names(Kind::Data), names(Kind::Index)) {
            (true, _) => Kind::Index,
            (_, true) => Kind::Top,
            _ => Kind::Data,
        });
    }
    match (Filter::decode(&opened.plain), Properties::decode(&opened.plain)) {
        (_, Some(_)) => Some(Kind::Properties),
        (Some(_), _) => Some(Kind::Filter),
        _ => None,
    }
}

/// Whether a value is the handle of a part of this kind, which may be lost.
fn names(value: &[u8], kind: Kind, end: u64, before: &[Region], found: &[Region]) -> bool {
    let mut reader = Reader::new(value);
    let Some(Handle { offset, len }) = Handle::decode(&mut reader, end) else { return false };
    if kind == Kind::Index {
        // The filter's handle follows, or two zeros.
        let filter = (reader.varint(), reader.varint());
        if filter.0.is_none() || filter.1.is_none() {
            return false;
        }
    }
    let is_it = |region: &Region| {
        let is_whole = region.kind == kind && (region.at, region.end) == (offset, offset + len);
        is_whole || region.kind == Kind::Lost && region.at <= offset && offset + len <= region.end
    };
    reader.rest().is_empty() && before.iter().chain(found).any(is_it)
}
