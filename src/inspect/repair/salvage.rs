//! What can be saved of the segments of a damaged store: of each key the newest record.

use crate::engine::batch::Op;
use crate::engine::bitcask::segment::{Entry, Origin};
use crate::engine::filename;
use crate::inspect::bytes::Bytes;
use crate::inspect::entry;
use crate::inspect::header;
use crate::inspect::repair::report::{Lost, LostKey, Saved, torn};
use crate::inspect::repair::sources::Source;
use crate::inspect::scan::{Frame, Gap, Groups, Member, Piece, Scan};
use crate::inspect::text::count;
use crate::record::frame::{self, HEADER_LEN, Header};
use crate::vfs::dir::Dir;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) seqno: u64,
    /// The index of its segment, in the order of reading.
    segment: usize,
    offset: u64,
    len: usize,
    pub(super) is_tombstone: bool,
}

/// Bytes of a segment in which records were, and are not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// The segment's number.
    pub(super) number: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    /// The records in it are not older than this.
    pub(super) after: u64,
    /// Whether what stood there was a part of a batch that is not applied.
    pub(super) is_of_batch: bool,
}

impl Hole {
    /// Whether one begins where the other ends: then they may be of one batch.
    pub(super) fn touches(&self, other: &Hole) -> bool {
        self.number == other.number && (self.to == other.from || other.to == self.from)
    }
}

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Salvage {
    pub(super) dir: Dir,
    pub(super) newest: HashMap<Box<[u8]>, Found>,
    pub(super) holes: Vec<Hole>,
    /// The segments that the manifest names, by number.
    live: BTreeMap<u64, Source>,
    /// Of these, those that were not found in their places: how many bytes, and why.
    absent: BTreeMap<u64, (u64, String)>,
    /// The numbers under which files were read: what their headers say.
    read: BTreeSet<u64>,
    /// Whether something is lost that files may hold which the manifest does not name.
    wants_more: bool,
    /// The segments that were read: the file, and how its checksums are salted.
    segments: Vec<(String, Header)>,
    /// The segment that is being read: its number, and the newest sequence number that was taken from it.
    number: u64,
    after: u64,
    /// The segment that values are read from, one at a time.
    open: Option<(usize, Bytes)>,
    pub(super) saved: Saved,
    pub(super) lost: Vec<Lost>,
    /// Keys whose newest value is lost.
    pub(super) keys: Vec<LostKey>,
    /// How many more of these there are.
    pub(super) unnamed: u64,
    pub(super) notes: Vec<String>,
}

/// Records that stand in a row and belong to one group.
#[derive(Debug, Default)]
struct Group {
    offset: u64,
    bytes: u64,
    records: Vec<(Box<[u8]>, Found)>,
    count: u64,
    /// Whether its beginning is missing.
    is_stray: bool,
}

impl Salvage {
    /// Nothing yet, of a store with these segments.
    pub(super) fn new(dir: Dir, live: &[Source]) -> Salvage {
        let saved = Saved::default();
        let known = live.iter().filter(|source| source.durable.is_some());
        Salvage {
            dir,
            newest: HashMap::new(),
            holes: Vec::new(),
            live: known.map(|source| (source.number, *source)).collect(),
            absent: BTreeMap::new(),
            read: BTreeSet::new(),
            wants_more: false,
            segments: Vec::new(),
            number: 0,
            after: 0,
            open: None,
            saved,
            lost: Vec::new(),
            keys: Vec::new(),
            unnamed: 0,
            notes: Vec::new(),
        }
    }

    /// Takes from a segment what is whole.
    pub(super) fn read(&mut self, source: &Source) {
        let name = filename::segment(source.number);
        self.stand_in(source);
        if source.is_missing {
            return self.lose_all(source, 0, "the file is missing".into());
        }
        let mut bytes = match Bytes::open(&self.dir, &name) {
            Ok(bytes) => bytes,
            Err(error) => return self.lose_all(source, 0, error.to_string()),
        };
        let len = bytes.len();
        let Some(header) = self.header(source, &name, &mut bytes) else { return };
        // What is known of a segment is known of the one that this is.
        let nothing = Source { number: header.number, store_id: header.store_id, ..Source::default() };
        let source = match header.number == source.number {
            true => *source,
            false => self.live.get(&header.number).copied().unwrap_or(nothing),
        };
        self.stand_in(&source);
        self.read.insert(header.number);
        self.saved.files += 1;
        self.segments.push((name.clone(), header));
        let lost = self.lost.len();
        self.walk(&name, &source, Scan::new(bytes, header, entry::is_likely, u64::MAX));
        if let Some(durable) = source.durable.filter(|&durable| durable > len) {
            self.lose(&name, len, durable - len, "the file is cut".into());
            self.wants_more = true;
        }
        self.wants_more |= source.is_output && self.lost.len() > lost;
    }

    /// What is lost from here on is this segment's.
    fn stand_in(&mut self, source: &Source) {
        (self.number, self.after) = (source.number, source.first_seqno.saturating_sub(1));
    }

    /// All of a segment can not be found where it should be. Whether it is lost shows when all files were read, if
    /// it is one that was live.
    fn lose_all(&mut self, source: &Source, len: u64, reason: String) {
        match source.durable {
            Some(durable) => _ = self.absent.insert(source.number, (len.max(durable), reason)),
            None => self.lose(&filename::segment(source.number), 0, len, reason),
        }
    }

    /// Whether a file that the manifest does not name is, by its header, a live one that was not found.
    pub(super) fn is_stray(&self, source: &Source) -> bool {
        let bytes = Bytes::open(&self.dir, &filename::segment(source.number));
        bytes.ok().and_then(|mut bytes| header::read(&mut bytes)).is_some_and(|found| {
            let is_absent = self.absent.contains_key(&found.number) && !self.read.contains(&found.number);
            found.store_id == source.store_id && is_absent
        })
    }

    /// Whether something is lost that files may hold which the manifest does not name.
    pub(super) fn wants_more(&self) -> bool {
        self.wants_more || self.absent.keys().any(|number| !self.read.contains(number))
    }

    /// When all files were read: what was live and was found nowhere is lost.
    pub(super) fn miss(&mut self) {
        for (number, (bytes, reason)) in std::mem::take(&mut self.absent) {
            if let Some(source) = self.live.get(&number).copied().filter(|_| !self.read.contains(&number)) {
                self.stand_in(&source);
                self.lose(&filename::segment(number), 0, bytes, reason);
            }
        }
    }

    /// The header that salts the segment's checksums.
    fn header(&mut self, source: &Source, name: &str, bytes: &mut Bytes) -> Option<Header> {
        let Source { number, store_id, .. } = *source;
        let kinds = [Origin::Log, Origin::Merge].map(Origin::log_kind);
        match header::read(bytes) {
            Some(found) if found.store_id != store_id => {
                let reason = format!("it belongs to another store, {:016x}", found.store_id);
                self.lose_all(source, bytes.len(), reason);
                None
            }
            Some(found) if !kinds.contains(&found.kind) => {
                self.lose_all(source, bytes.len(), "by its header it is no segment".into());
                None
            }
            Some(found) => {
                if found.number != number {
                    let other = filename::segment(found.number);
                    if source.durable.is_some() {
                        self.lose_all(source, 0, format!("its file holds {other}"));
                    }
                    self.notes.push(format!("{name}: by its header it is {other}, and was read as that"));
                }
                Some(found)
            }
            None => {
                let candidates = kinds.map(|kind| Header { store_id, number, kind });
                let proven = header::prove(bytes, &candidates, entry::is_likely, u64::MAX);
                match proven {
                    Some(_) => {
                        self.notes.push(format!("{name}: its header is damaged; its name says what it was"))
                    }
                    // It may have been just begun; one that an edit names has had a whole header.
                    None if bytes.len() <= HEADER_LEN && source.durable.is_none() => {
                        self.notes.push(format!("{name}: its header is damaged; there is nothing behind it"));
                    }
                    None => {
                        let reason = "no header, and no record with a right checksum";
                        self.lose_all(source, bytes.len(), reason.into());
                    }
                }
                proven
            }
        }
    }

    fn walk(&mut self, name: &str, source: &Source, mut scan: Scan) {
        let (mut groups, mut group) = (Groups::default(), Group::default());
        let (mut is_damaged, mut known) = (false, source.durable.unwrap_or(0));
        while let Some(piece) = scan.next_piece() {
            match piece {
                Piece::Record(frame) => {
                    known = known.max(frame.claim());
                    self.record(name, scan.bytes(), &frame, &mut groups, &mut group);
                }
                Piece::Gap(gap) if gap.is_followed => {
                    groups.cut();
                    self.give_up(name, &mut group);
                    is_damaged = true;
                    self.lose(name, gap.offset, gap.end - gap.offset, gap.why.to_string());
                }
                Piece::Gap(gap) => {
                    self.end(name, source, known, &mut group);
                    self.tail(name, source, known, &gap);
                }
            }
        }
        self.end(name, source, known, &mut group);
        for (at, reason) in scan.bytes().unreadable() {
            self.notes.push(format!("{name}: can not be read at {at}: {reason}"));
        }
        if is_damaged && source.sealed.is_none() {
            self.notes.push(format!(
                "{name}: records behind damage were saved; opening would have refused it, or cut them off"
            ));
        }
    }

    fn record(
        &mut self,
        name: &str,
        bytes: &mut Bytes,
        frame: &Frame,
        groups: &mut Groups,
        group: &mut Group,
    ) {
        let (cut, member) = groups.take(frame);
        // Records without a beginning are one loss, as long as they stand in a row.
        let is_stray = member == Member::Stray;
        if cut.is_some() || group.is_stray != is_stray {
            self.give_up(name, group);
        }
        group.is_stray = is_stray;
        group.add(frame);
        let segment = self.segments.len() - 1;
        if let Some(head) = entry::head(bytes, frame).filter(|_| !is_stray) {
            let is_tombstone = head.value.is_none();
            let (offset, len) = (frame.offset, frame.shape.len);
            group
                .records
                .push((head.key.into(), Found { seqno: head.seqno, segment, offset, len, is_tombstone }));
        } else if !is_stray && !frame.is_close() {
            self.lose(name, frame.offset, frame.shape.len as u64, "neither set nor delete".into());
        }
        if member == Member::Completes {
            std::mem::take(group).records.into_iter().for_each(|(key, found)| self.keep(key, found));
        }
    }

    /// The newest record of a key wins.
    fn keep(&mut self, key: Box<[u8]>, found: Found) {
        self.after = self.after.max(found.seqno);
        self.saved.records += 1;
        self.saved.tombstones += u64::from(found.is_tombstone);
        let newest = self.newest.entry(key).or_insert(found);
        if found.seqno > newest.seqno {
            *newest = found;
        }
    }

    /// The group never came to its end, or has no beginning.
    fn give_up(&mut self, name: &str, group: &mut Group) {
        let Group { offset, bytes, count: records, .. } = std::mem::take(group);
        if records > 0 {
            let records = count(records, "record");
            let reason = format!("{records} of an incomplete batch: it is applied whole or not at all");
            self.lose(name, offset, bytes, reason);
            self.holes.last_mut().into_iter().for_each(|hole| hole.is_of_batch = true);
        }
    }

    /// The group that is open where the records end: a crash may leave one behind all that was durable.
    fn end(&mut self, name: &str, source: &Source, known: u64, group: &mut Group) {
        let Group { offset, bytes, count: records, is_stray, .. } = *group;
        if records > 0 && !is_stray && offset >= known && source.durable.is_some() {
            *group = Group::default();
            return self.notes.push(torn(name, offset, bytes));
        }
        self.give_up(name, group);
    }

    /// What stands behind the last record: no loss, unless the manifest or a record says that it was durable, or
    /// nothing is known.
    fn tail(&mut self, name: &str, source: &Source, known: u64, gap: &Gap) {
        let bytes = gap.end - gap.offset;
        match (source.durable, gap.is_zero) {
            (Some(_), _) if gap.offset < known => self.lose(name, gap.offset, bytes, gap.why.to_string()),
            // Written ahead and not used.
            (_, true) => {}
            (Some(_), false) => self.notes.push(torn(name, gap.offset, bytes)),
            (None, false) => {
                self.lose(name, gap.offset, bytes, format!("{}: a torn tail, or damage", gap.why));
            }
        }
    }

    /// What goes into the new store, in the order of the source.
    pub(super) fn survivors(&mut self) -> Vec<(Box<[u8]>, Found)> {
        let newest = std::mem::take(&mut self.newest);
        let mut survivors: Vec<_> = newest.into_iter().filter(|(_, found)| !found.is_tombstone).collect();
        survivors.sort_unstable_by_key(|(_, found)| (found.segment, found.offset));
        survivors
    }

    /// The value of a record, read again; `None`, and a loss, if it is not what it was.
    pub(super) fn value(&mut self, key: &[u8], found: Found) -> Option<Vec<u8>> {
        let (name, header) = &self.segments[found.segment];
        // One file is open at a time: survivors come segment by segment.
        if self.open.as_ref().is_none_or(|(open, _)| *open != found.segment) {
            self.open = Bytes::open(&self.dir, name).ok().map(|bytes| (found.segment, bytes));
        }
        let value = self.open.as_mut().and_then(|(_, bytes)| {
            let record =
                frame::decode(bytes.get(found.offset, found.len), header.salt(), found.offset).ok()?;
            match Entry::decode(&record)?.op {
                Op::Set(again, value) if again == key => Some(value.to_vec()),
                _ => None,
            }
        });
        if value.is_none() {
            let name = name.clone();
            self.lose(&name, found.offset, found.len as u64, "it was read once, and not again".into());
        }
        value
    }

    fn lose(&mut self, name: &str, offset: u64, bytes: u64, reason: String) {
        let (number, to, after) = (self.number, offset + bytes, self.after);
        self.holes.push(Hole { number, from: offset, to, after, is_of_batch: false });
        self.lost.push(Lost { path: self.dir.join(name).display().to_string(), offset, bytes, reason });
    }
}

impl Group {
    fn add(&mut self, frame: &Frame) {
        if self.count == 0 {
            self.offset = frame.offset;
        }
        self.count += 1;
        self.bytes = frame.end() - self.offset;
    }
}
