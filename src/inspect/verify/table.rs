//! Verify a table: every part of it, and that they agree with each other.

use crate::codec::Reader;
use crate::engine::filename;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind as What};
use crate::engine::lsm::table::format::{Handle, Properties, Salt};
use crate::engine::lsm::version::edit::TableMeta;
use crate::inspect::edits::internal_key;
use crate::inspect::table::TableFile;
use crate::inspect::table::part::{Kind, Opened, Region};
use crate::inspect::verify::Verifier;
use std::cmp::Ordering;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// The first and last key of a block.
type Ends = (Vec<u8>, Vec<u8>);

/// A partition that has ended: its last separator if that can be read, its index, its filter.
type Partition = (Option<Vec<u8>>, Region, Option<Region>);

/// What the top index says of a partition: its separator, and where index and filter are.
type Named = (Vec<u8>, Option<(u64, u64)>, Option<(u64, u64)>);

/// What was found in a table, on the way through it.
struct Found {
    /// The name of the order of the keys; the order, if it is known.
    order_name: String,
    order: Option<Order>,
    store_id: u64,
    counted: Properties,
    /// The last internal key; empty before the first.
    last: Vec<u8>,
    /// XXH3 of all checksums.
    contents: Xxh3,
    /// The data blocks of this partition; of a damaged one the keys are not known.
    blocks: Vec<(Region, Option<Ends>)>,
    /// Of the user keys of this partition.
    hashes: Vec<u64>,
    /// The filter of this partition.
    filter: Option<Region>,
    /// The partitions before.
    parts: Vec<Partition>,
}

impl Verifier {
    /// Checks a table against what the manifest says of it; without a manifest, only what the file says of
    /// itself, the order of its keys included.
    pub(super) fn table(&mut self, number: u64, meta: Option<&TableMeta>, order: Option<&str>) {
        let name = filename::table(number);
        let Some(bytes) = self.open(&name) else { return };
        let damage_before = self.report.damage.len();
        let mut file = TableFile::read(bytes, Salt::new(self.store_id, number));
        let len = file.len();
        if let Some(meta) = meta.filter(|meta| meta.len != len) {
            self.damage(&name, len.min(meta.len), format!("{len} bytes, not {}", meta.len));
        }
        let said = file.properties.as_ref().ok().map(|properties| &properties.comparator[..]);
        let order_name = order.or(said).unwrap_or(Order::Bytewise.name()).to_string();
        let mut found = Found {
            order: self.order_named(&order_name),
            order_name,
            store_id: self.store_id,
            counted: Properties::default(),
            last: Vec::new(),
            contents: Xxh3::new(),
            blocks: Vec::new(),
            hashes: Vec::new(),
            filter: None,
            parts: Vec::new(),
        };
        found.counted.first_seqno = u64::MAX;
        let (mut blocks, mut parts) = (0, 0);
        for region in file.regions.clone() {
            blocks += u64::from(region.kind == Kind::Data);
            parts += 1;
            if let Err(reason) = found.region(&mut file, region) {
                self.damage(&name, region.at, format!("{}: {reason}", region.kind.word()));
            }
        }
        self.unreadable(&name, &file.bytes);
        self.check("parts", &name, parts, len);
        self.check("data blocks", &name, blocks, 0);
        self.check("entries", &name, found.counted.entries, 0);
        if self.report.damage.len() == damage_before {
            self.sums(&name, &file, &found, meta);
        }
    }

    /// With every part whole, what is said of all of them must be right too.
    fn sums(&mut self, name: &str, file: &TableFile, found: &Found, meta: Option<&TableMeta>) {
        let (Ok(footer), Ok(properties)) = (&file.footer, &file.properties) else { return };
        let end = file.regions.last().map_or(0, |region| region.at);
        let wrong = found.difference(properties);
        if let Some(wrong) = wrong {
            self.damage(name, footer.properties.offset, format!("properties: {wrong}"));
        }
        if found.contents.digest() != footer.contents {
            self.damage(name, end, "footer: its contents are not those of the table".into());
        }
        let Some(meta) = meta else { return };
        let said = properties.meta(meta.level, file.len(), footer.contents);
        if said != *meta {
            let what = [
                (said.contents != meta.contents, "contents"),
                (said.smallest != meta.smallest, "first key"),
                (said.largest != meta.largest, "last key"),
                (said.first_seqno != meta.first_seqno, "lowest sequence number"),
                (said.last_seqno != meta.last_seqno, "highest sequence number"),
                (said.entries != meta.entries, "entries"),
                (said.tombstones != meta.tombstones, "tombstones"),
                (said.older != meta.older, "older entries"),
            ];
            let what = what.iter().find(|(differs, _)| *differs).map_or("bytes", |(_, what)| what);
            let reason = format!("not the table that the manifest means: other {what}");
            self.damage(name, end, reason);
        }
    }
}

impl Found {
    fn region(&mut self, file: &mut TableFile, region: Region) -> Result<(), String> {
        if region.kind == Kind::Lost {
            return Err("bytes that are no part of a table, or a damaged one".into());
        }
        if region.kind == Kind::Footer {
            return file.footer.clone().map(|_| ());
        }
        let opened = match file.open(region) {
            Ok(opened) => opened,
            Err(reason) => {
                match region.kind {
                    Kind::Data => self.blocks.push((region, None)),
                    Kind::Filter => self.filter = Some(region),
                    Kind::Index => self.end_part(None, region),
                    _ => {}
                }
                return Err(reason);
            }
        };
        self.contents.update(&opened.checksum.to_le_bytes());
        match region.kind {
            Kind::Data => self.data(region, &opened),
            Kind::Filter => {
                self.filter = Some(region);
                let filter = file.filter(region)?;
                match self.hashes.iter().any(|&hash| !filter.may_contain(hash)) {
                    true => Err("it denies a key that is there".into()),
                    false => Ok(()),
                }
            }
            Kind::Index => self.index(region, &opened),
            Kind::Top => self.top(&opened),
            Kind::Properties => file.properties.clone().map(|_| ()),
            Kind::Footer | Kind::Lost => Ok(()),
        }
    }

    fn data(&mut self, region: Region, opened: &Opened) -> Result<(), String> {
        let (mut first, mut wrong) = (None, None);
        let walked = opened.each(|at, internal, entry| {
            let (user_key, trailer) = key::split(internal);
            let is_above = self.last.is_empty() || self.is_before(&self.last, internal);
            if !is_above && wrong.is_none() {
                let (key, before) = (internal_key(internal), internal_key(&self.last));
                wrong = Some(format!("the entry at {at} of the block, {key}, follows {before}"));
            }
            let counted = &mut self.counted;
            counted.entries += 1;
            counted.tombstones += u64::from(What::of(trailer) == Some(What::Remove));
            let is_first = self.last.is_empty();
            let is_same = |order: &Order| order.is_same(key::user_key(&self.last), user_key);
            counted.older += u64::from(!is_first && self.order.as_ref().is_some_and(is_same));
            counted.raw_bytes += (user_key.len() + opened.value(entry).len()) as u64;
            counted.first_seqno = counted.first_seqno.min(key::seqno(trailer));
            counted.last_seqno = counted.last_seqno.max(key::seqno(trailer));
            if counted.entries == 1 {
                counted.smallest = internal.to_vec();
            }
            self.hashes.push(xxh3_64_with_seed(user_key, self.store_id));
            first.get_or_insert_with(|| internal.to_vec());
            internal.clone_into(&mut self.last);
        });
        self.blocks.push((region, first.map(|first| (first, self.last.clone()))));
        walked.and(wrong.map_or(Ok(()), Err))
    }

    /// The index of a partition: it names the blocks before it, one after the other, and what it says
    /// about their keys is right.
    fn index(&mut self, region: Region, opened: &Opened) -> Result<(), String> {
        let mut named = Vec::new();
        opened.each(|_, separator, entry| {
            let handle = Handle::decode(&mut Reader::new(opened.value(entry)), region.at);
            named.push((separator.to_vec(), handle));
        })?;
        let blocks = std::mem::take(&mut self.blocks);
        self.end_part(named.last().map(|(separator, _)| separator.clone()), region);
        let places =
            blocks.iter().map(|(block, _)| Some(Handle { offset: block.at, len: block.end - block.at }));
        if !places.eq(named.iter().map(|(_, handle)| *handle)) {
            return Err("it does not name the data blocks before it, one after the other".into());
        }
        for (i, ((separator, _), (block, ends))) in named.iter().zip(&blocks).enumerate() {
            let next = blocks.get(i + 1).and_then(|(_, ends)| ends.as_ref());
            let is_too_low = ends.as_ref().is_some_and(|(_, last)| !self.is_upto(last, separator));
            let is_too_high = next.is_some_and(|(first, _)| !self.is_before(separator, first));
            if is_too_low || is_too_high {
                return Err(format!(
                    "the separator {} of the block at {}",
                    internal_key(separator),
                    block.at
                ));
            }
        }
        Ok(())
    }

    /// Whether an internal key stands before another, as far as the order is known.
    fn is_before(&self, a: &[u8], b: &[u8]) -> bool {
        self.order.as_ref().is_none_or(|order| order.compare_internal(a, b) == Ordering::Less)
    }

    /// Whether it does not stand behind it, as far as the order is known.
    fn is_upto(&self, a: &[u8], b: &[u8]) -> bool {
        self.order.as_ref().is_none_or(|order| order.compare_internal(a, b) != Ordering::Greater)
    }

    fn end_part(&mut self, separator: Option<Vec<u8>>, index: Region) {
        let filter = self.filter.take();
        self.parts.push((separator, index, filter));
        self.hashes.clear();
        self.blocks.clear();
    }

    fn top(&mut self, opened: &Opened) -> Result<(), String> {
        let mut named = Vec::new();
        opened.each(|_, separator, entry| {
            let mut reader = Reader::new(opened.value(entry));
            let mut handle = || Some((reader.varint()?, reader.varint()?));
            named.push((separator.to_vec(), handle(), handle()));
        })?;
        let place = |region: &Region| (region.at, region.end - region.at);
        let is_right = |(said, part): (&Named, &Partition)| {
            part.0.as_ref().is_none_or(|separator| *separator == said.0)
                && said.1 == Some(place(&part.1))
                && said.2 == Some(part.2.as_ref().map_or((0, 0), place))
        };
        match named.len() == self.parts.len() && named.iter().zip(&self.parts).all(is_right) {
            true => Ok(()),
            false => Err("it does not name the indexes and filters before it, one after the other".into()),
        }
    }

    /// What the properties say that is not so.
    fn difference(&self, said: &Properties) -> Option<&'static str> {
        let Properties { entries, tombstones, older, raw_bytes, first_seqno, last_seqno, .. } = self.counted;
        let has_filters = self.parts.iter().any(|(_, _, filter)| filter.is_some());
        let differs = [
            (said.entries != entries, "other entries"),
            (said.tombstones != tombstones, "other tombstones"),
            (said.older != older && self.order.is_some(), "other older entries"),
            (said.raw_bytes != raw_bytes, "other bytes of keys and values"),
            (said.first_seqno != first_seqno, "another lowest sequence number"),
            (said.last_seqno != last_seqno, "another highest sequence number"),
            (said.smallest != self.counted.smallest, "another first key"),
            (said.largest != self.last, "another last key"),
            (said.partitions != self.parts.len() as u64, "other partitions"),
            (said.comparator != self.order_name, "another order of keys"),
            (has_filters != (said.filter_bits > 0), "other filters"),
        ];
        differs.iter().find(|(differs, _)| *differs).map(|(_, what)| *what)
    }
}
