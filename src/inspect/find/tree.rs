//! Find in an LSM tree: all logs, and of each table the blocks that may hold the key.

use crate::engine::filename::{self, FileName};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind as What};
use crate::engine::lsm::table::format::Salt;
use crate::engine::lsm::version::edit::WalMeta;
use crate::engine::lsm::wal;
use crate::inspect::batch::{LoggedBatch, is_likely};
use crate::inspect::bytes::Bytes;
use crate::inspect::find::report::{Found, PREVIEW, Version};
use crate::inspect::look::Look;
use crate::inspect::scan::{Piece, Scan};
use crate::inspect::state::State;
use crate::inspect::table::TableFile;
use crate::inspect::table::part::{Kind, Opened, Region};
use crate::inspect::tree::Tree;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

pub(super) fn find(look: &Look, store_id: u64, key: &[u8], found: &mut Found) {
    let mut lossy = Lossy::default();
    for entry in &look.entries {
        let was_sure = std::mem::replace(&mut found.is_sure, true);
        match filename::parse(&entry.name) {
            Some(FileName::Wal(number)) => {
                log(look, store_id, number, key, found);
                lossy.has_log |= !found.is_sure;
            }
            Some(FileName::Table(number)) => {
                table(look, store_id, number, key, found);
                lossy.tables.extend((!found.is_sure).then_some(number));
            }
            _ => {}
        }
        found.is_sure &= was_sure;
    }
    found.versions.sort_by_key(|version| Reverse(version.seqno));
    let Some(tree) = look.tree() else { return };
    // What a get finds first, of what it may find: the others are hidden by it.
    let is_live = |version: &&mut Version| match filename::parse(&version.file) {
        Some(FileName::Wal(number)) => tree.listing.wals.contains_key(&number),
        Some(FileName::Table(number)) => tree.listing.tables.contains_key(&number),
        _ => false,
    };
    if let Some(newest) = found.versions.iter_mut().find(is_live) {
        newest.state = match newest.kind {
            _ if lossy.may_hide(tree, newest) => "unknown",
            "set" => "live",
            _ => "tombstone",
        };
    }
}

/// What can not be read whole, and so may hold a version that nobody sees.
#[derive(Default)]
struct Lossy {
    has_log: bool,
    tables: BTreeSet<u64>,
}

impl Lossy {
    /// Whether a get may have to look into one of these before it finds this version.
    fn may_hide(&self, tree: &Tree, version: &Version) -> bool {
        let Some(FileName::Table(number)) = filename::parse(&version.file) else { return self.has_log };
        let above = tree.listing.tables.get(&number).map(|meta| tree.above(number, meta)).unwrap_or_default();
        self.has_log || above.iter().chain([&number]).any(|table| self.tables.contains(table))
    }
}

/// The state before it is known which version is the newest.
fn state(look: &Look) -> State {
    if look.tree().is_some() { State::Dead } else { State::Unknown }
}

fn log(look: &Look, store_id: u64, number: u64, key: &[u8], found: &mut Found) {
    let name = filename::wal(number);
    let bytes = match Bytes::open(&look.dir, &name) {
        Ok(bytes) => bytes,
        Err(error) => return found.miss(error.to_string()),
    };
    let meta = look.tree().and_then(|tree| tree.listing.wals.get(&number));
    let durable = meta.map_or(0, WalMeta::durable);
    let mut scan = Scan::new(bytes, wal::header(store_id, number), is_likely, u64::MAX);
    while let Some(piece) = scan.next_piece() {
        match piece {
            Piece::Gap(gap) => found.gap(&name, &gap, durable),
            Piece::Record(frame) => {
                let Some(batch) = LoggedBatch::read(scan.bytes(), &frame) else { continue };
                batch.each(scan.bytes(), |bytes, seqno, op| {
                    if op.key_of(bytes) != key {
                        return;
                    }
                    let (kind, at, len) = match op.value {
                        Some((at, len)) => ("set", at, len),
                        None => ("remove", 0, 0),
                    };
                    let preview = bytes.get(at, len.min(PREVIEW as u64) as usize).to_vec();
                    let version = Version::new(&name, op.at, kind, state(look));
                    let seqno = Some(seqno);
                    found.versions.push(Version { seqno, value_bytes: len, preview, ..version });
                });
            }
        }
    }
}

fn table(look: &Look, store_id: u64, number: u64, key: &[u8], found: &mut Found) {
    let name = filename::table(number);
    let bytes = match Bytes::open(&look.dir, &name) {
        Ok(bytes) => bytes,
        Err(error) => return found.miss(error.to_string()),
    };
    let len = bytes.len();
    let meta = look.tree().and_then(|tree| tree.listing.tables.get(&number));
    if let Some(meta) = meta.filter(|meta| meta.len != len) {
        found.miss(format!("{name}: {len} bytes; the manifest says {}", meta.len));
    }
    let mut file = TableFile::read(bytes, Salt::new(store_id, number));
    let named = file.properties.as_ref().ok().and_then(|properties| properties.comparator.parse().ok());
    let order = look.tree().map(|tree| tree.order.clone()).or(named).unwrap_or_default();
    for region in candidates(&mut file, &order, key) {
        let unreadable = |reason: String| {
            let (len, at) = (region.end - region.at, region.at);
            format!("{name}: {len} bytes at {at} can not be read: {reason}")
        };
        match file.open(region) {
            _ if region.kind == Kind::Lost => {
                found.miss(unreadable("no part of a table, or a damaged one".into()));
            }
            Err(reason) => found.miss(unreadable(reason)),
            Ok(opened) => {
                let walked = opened.each(|at, internal, entry| {
                    let (user_key, trailer) = key::split(internal);
                    if user_key != key {
                        return;
                    }
                    let kind = if What::of(trailer) == Some(What::Remove) { "remove" } else { "set" };
                    let value = opened.value(entry);
                    let version = Version::new(&name, region.at, kind, state(look));
                    found.versions.push(Version {
                        entry: Some(at as u64),
                        seqno: Some(key::seqno(trailer)),
                        value_bytes: value.len() as u64,
                        preview: value[..value.len().min(PREVIEW)].to_vec(),
                        ..version
                    });
                });
                if let Err(reason) = walked {
                    found.miss(unreadable(reason));
                }
            }
        }
    }
}

/// The data blocks that may hold the key, and all that is lost: found by bisecting; all, if a block on
/// the way is damaged.
fn candidates(file: &mut TableFile, order: &Order, key: &[u8]) -> Vec<Region> {
    let all = file.regions.clone();
    let data: Vec<_> = all.iter().copied().filter(|region| region.kind == Kind::Data).collect();
    let lost = all.iter().copied().filter(|region| region.kind == Kind::Lost);
    let Some(first) = bisect(file, order, &data, key, Ordering::is_lt) else { return all_of(&all) };
    let Some(end) = bisect(file, order, &data, key, Ordering::is_le) else { return all_of(&all) };
    // The key may begin in the block before the first that begins with it.
    data[first.saturating_sub(1)..end].iter().copied().chain(lost).collect()
}

fn all_of(regions: &[Region]) -> Vec<Region> {
    regions.iter().copied().filter(|region| matches!(region.kind, Kind::Data | Kind::Lost)).collect()
}

/// How many blocks begin with a key that stands so to this one.
fn bisect(
    file: &mut TableFile,
    order: &Order,
    data: &[Region],
    key: &[u8],
    is_before: fn(Ordering) -> bool,
) -> Option<usize> {
    let (mut low, mut high) = (0, data.len());
    while low < high {
        let middle = low.midpoint(high);
        let first = first_key(&file.open(data[middle]).ok()?)?;
        match is_before(order.compare(&first, key)) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Some(low)
}

fn first_key(opened: &Opened) -> Option<Vec<u8>> {
    let mut first = None;
    opened.each(|_, internal, _| _ = first.get_or_insert_with(|| key::user_key(internal).to_vec())).ok()?;
    first
}
