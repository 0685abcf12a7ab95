//! The search for the parts of a table that no index names.
//!
//! A part does not say how long it is. But its checksum is of all before it, so one pass from where it
//! begins tries every length: the checksum so far is compared with the four bytes that follow. Behind
//! damage it is not known either where a part begins: then the bytes are looked through once, for every
//! beginning and every end at the same time (see [`stretch`](crate::inspect::table::stretch)).

use crate::codec::Reader;
use crate::engine::lsm::table::block::Block;
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{FOOTER_LEN, Handle, Properties, Salt, TRAILER_LEN};
use crate::inspect::bytes::{Bytes, WALK};
use crate::inspect::table::part::{Kind, Region, open_block};
use crate::inspect::table::stretch::Stretch;

/// The longest part that is searched for; behind damage, half of that.
const LONGEST: u64 = 64 << 20;

/// So many bytes are looked at first for the end of a part; most end there.
const FIRST: u64 = 8 << 10;

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
        let (mut found, mut at, mut stretch) = (Vec::new(), from, None);
        let window = self.bytes.set_window(WALK);
        while at < to {
            if let Some(region) = self.part(at, to.min(at + LONGEST), &found) {
                at = region.end;
                found.push(region);
                continue;
            }
            let lost = at;
            at = self.next(at + 1, to, &mut stretch, &found);
            let is_footer = at == self.bytes.len() && at - lost == FOOTER_LEN as u64;
            let kind = if is_footer { Kind::Footer } else { Kind::Lost };
            found.push(Region { kind, at: lost, end: at });
        }
        self.bytes.set_window(window);
        found
    }

    /// Where the next part begins, behind damage; `to`, if there is none.
    fn next(&mut self, from: u64, to: u64, stretch: &mut Option<(u64, Stretch)>, found: &[Region]) -> u64 {
        // Of many millions of beginnings and ends some fit by chance. Blocks have a form that noise has not; bits
        // of a filter have none, and count where another part stands behind them.
        let mut filters = Vec::new();
        for at in from..to {
            // What begins in the second half of one may end behind it.
            let covers = |(base, stretch): &(u64, Stretch)| {
                let len = stretch.len() as u64;
                base + len >= to.min(at + LONGEST / 2)
            };
            let (base, stretch) = match stretch {
                Some(known) if covers(known) => known,
                _ => {
                    let bytes = self.bytes.get(at, (to - at).min(LONGEST) as usize).to_vec();
                    stretch.insert((at, Stretch::new(bytes)))
                }
            };
            let parts = stretch.parts((at - *base) as usize, self.salt.checksum(at, &[]));
            for bytes in parts.filter(|bytes| may_be_a_part(bytes)) {
                match kind_of(bytes, self.salt, at, self.regions, found) {
                    Some(Kind::Filter | Kind::Properties) => filters.push(at + bytes.len() as u64),
                    Some(_) => return at,
                    None => {}
                }
            }
            let is_followed = |end: u64| {
                end == to
                    || end + FOOTER_LEN as u64 == self.bytes.len()
                    || self.part(end, to.min(end + LONGEST), found).is_some()
            };
            if filters.drain(..).any(is_followed) {
                return at;
            }
        }
        to
    }

    /// The part that begins at `at` and ends by `to`. Reads not much more than it has, or all up to `to` if there is
    /// none: the bytes that are looked at grow until its end is among them.
    fn part(&mut self, at: u64, to: u64, found: &[Region]) -> Option<Region> {
        let (mut sum, mut done, mut next) = (self.salt.checksum(at, &[]), 0, 1);
        let mut want = FIRST;
        loop {
            want = want.min(to - at);
            let bytes = self.bytes.get(at, want as usize);
            let upto = bytes.len().saturating_sub(TRAILER_LEN - 1);
            for i in next..upto.max(next) {
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
                if let Some(kind) = kind_of(&bytes[..end], self.salt, at, self.regions, found) {
                    return Some(Region { kind, at, end: at + end as u64 });
                }
            }
            if want == to - at {
                return None;
            }
            (next, want) = (upto.max(next), want * 4);
        }
    }
}

/// Whether bytes with a right checksum are worth a closer look: many that fit by chance are megabytes.
fn may_be_a_part(bytes: &[u8]) -> bool {
    let Some((body, [how, ..])) = bytes.split_last_chunk::<TRAILER_LEN>() else { return false };
    match how {
        0 => {
            Block::new(body).is_some_and(|block| block.restart(0) == Some(0))
                || Filter::decode(body).is_some()
                || Properties::decode(body).is_some()
        }
        _ => true,
    }
}

/// What the bytes at `at` are, by their content, if they are a part. An index names parts that were found before
/// it, all that are its own; so nobody's values are taken for one.
fn kind_of(bytes: &[u8], salt: Salt, at: u64, before: &[Region], found: &[Region]) -> Option<Kind> {
    let opened = open_block(bytes, salt, at).ok()?;
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
