//! A table taken apart, for people and for tools: every part of the file, what is in it, and what is
//! wrong. Reads everything from the file, past all caches.

use crate::codec::Reader;
use crate::engine::lsm::key;
use crate::engine::lsm::options::Compression;
use crate::engine::lsm::table::Table;
use crate::engine::lsm::table::block::{Block, Target};
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{self, Footer, Handle, Properties};
use crate::error::{Error, Result};
use std::cmp::Ordering;
use xxhash_rust::xxh3::Xxh3;

/// What a part of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// A data block.
    Data,
    /// The filter of a partition.
    Filter,
    /// The index of a partition.
    Index,
    /// The properties.
    Properties,
    /// The index of the indexes.
    Top,
    /// The footer.
    Footer,
}

impl RegionKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            RegionKind::Data => "data",
            RegionKind::Filter => "filter",
            RegionKind::Index => "index",
            RegionKind::Properties => "properties",
            RegionKind::Top => "top index",
            RegionKind::Footer => "footer",
        }
    }
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// What it is.
    pub kind: RegionKind,
    /// Where it is, trailer included.
    pub at: Handle,
}

/// Every part of a table, in the order of their offsets.
#[derive(Debug)]
pub struct Layout {
    /// The parts.
    pub regions: Vec<Region>,
    /// Why some could not be found: a damaged index hides its data blocks.
    pub damage: Vec<Error>,
}

/// A part of the file, read and verified.
#[derive(Debug)]
pub struct Decoded {
    /// How it is compressed.
    pub compression: Compression,
    /// Its checksum, as stored.
    pub checksum: u32,
    /// Its bytes, uncompressed, without the trailer.
    pub plain: Vec<u8>,
    /// Its restart points, if it is a block.
    pub restarts: usize,
    /// What it says.
    pub content: Content,
}

/// An entry of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Where it begins in the uncompressed block.
    pub at: usize,
    /// Its internal key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What a part of the file says.
#[derive(Debug)]
pub enum Content {
    /// The entries of a data block.
    Entries(Vec<StoredEntry>),
    /// Separators, and the data blocks that they stand for.
    Index(Vec<(Vec<u8>, Handle)>),
    /// Separators, and the index and filter that they stand for.
    Top(Vec<(Vec<u8>, Handle, Option<Handle>)>),
    /// A filter.
    Filter(Filter),
    /// The properties.
    Properties(Properties),
    /// The footer.
    Footer(Footer),
}

impl Table {
    /// Every part of the file that can be found.
    pub fn layout(&self) -> Layout {
        let top = Region { kind: RegionKind::Top, at: self.footer().top };
        let properties = Region { kind: RegionKind::Properties, at: self.footer().properties };
        let mut layout = Layout {
            regions: vec![top, properties, Region { kind: RegionKind::Footer, at: self.footer_at() }],
            damage: Vec::new(),
        };
        match self.decode(top).map(|top| top.content) {
            Ok(Content::Top(parts)) => parts.iter().for_each(|part| layout.add_part(self, part.1, part.2)),
            Ok(_) => {}
            Err(error) => layout.damage.push(error),
        }
        layout.regions.sort_by_key(|region| region.at.offset);
        layout
    }

    /// Reads one part of the file, verifies it, and takes it apart.
    pub fn decode(&self, region: Region) -> Result<Decoded> {
        let mut bytes = vec![0; region.at.len as usize];
        self.reader().read_ahead(&mut bytes, region.at.offset)?;
        if region.kind == RegionKind::Footer {
            let content = Content::Footer(self.reader().footer()?);
            let (compression, checksum) = (Compression::None, 0);
            return Ok(Decoded { compression, checksum, plain: bytes, restarts: 0, content });
        }
        let mut plain = Vec::new();
        self.reader().unseal_into(&bytes, region.at, &mut plain)?;
        let sealed = format::unseal(&bytes, self.reader().salt(), region.at.offset);
        let sealed = sealed.map_err(|reason| self.reader().damaged(region.at, reason))?;
        let restarts = match region.kind {
            RegionKind::Data | RegionKind::Index | RegionKind::Top => {
                Block::new(&plain).map_or(0, |block| block.restarts())
            }
            _ => 0,
        };
        let content = content(region.kind, &plain, self.reader().end())
            .ok_or_else(|| self.reader().malformed(region.at))?;
        let (compression, checksum) = (sealed.compression, sealed.checksum);
        Ok(Decoded { compression, checksum, plain, restarts, content })
    }

    /// Reads all of the table, and returns everything that is wrong with it: parts that are damaged, gaps
    /// between them, keys out of order or outside their block's place, keys that their filter denies,
    /// and properties or an identity that are not those of the contents.
    pub fn verify(&self) -> Vec<Error> {
        let Layout { regions, damage } = self.layout();
        let mut walk = Walk { table: self, damage, next: 0, contents: Xxh3::new(), found: Found::default() };
        for &region in &regions {
            walk.region(region);
        }
        walk.end();
        walk.damage
    }
}

impl Layout {
    fn add_part(&mut self, table: &Table, index: Handle, filter: Option<Handle>) {
        self.regions.extend(filter.map(|at| Region { kind: RegionKind::Filter, at }));
        let region = Region { kind: RegionKind::Index, at: index };
        self.regions.push(region);
        match table.decode(region).map(|index| index.content) {
            Ok(Content::Index(blocks)) => {
                let data = |&(_, at): &(Vec<u8>, Handle)| Region { kind: RegionKind::Data, at };
                self.regions.extend(blocks.iter().map(data));
            }
            Ok(_) => {}
            Err(error) => self.damage.push(error),
        }
    }
}

fn content(kind: RegionKind, plain: &[u8], end: u64) -> Option<Content> {
    let handle = |reader: &mut Reader<'_>| Handle::decode(reader, end);
    Some(match kind {
        RegionKind::Data => Content::Entries(entries(plain)?),
        RegionKind::Index => {
            let read = |entry: StoredEntry| Some((entry.key, handle(&mut Reader::new(&entry.value))?));
            Content::Index(entries(plain)?.into_iter().map(read).collect::<Option<_>>()?)
        }
        RegionKind::Top => {
            let read = |entry: StoredEntry| {
                let mut reader = Reader::new(&entry.value);
                let index = handle(&mut reader)?;
                Some((entry.key, index, handle(&mut reader)))
            };
            Content::Top(entries(plain)?.into_iter().map(read).collect::<Option<_>>()?)
        }
        RegionKind::Filter => Content::Filter(Filter::decode(plain)?),
        RegionKind::Properties => Content::Properties(Properties::decode(plain)?),
        RegionKind::Footer => return None,
    })
}

/// All entries of a block.
fn entries(plain: &[u8]) -> Option<Vec<StoredEntry>> {
    let block = Block::new(plain)?;
    let (mut entries, mut at, mut key) = (Vec::new(), 0, Vec::new());
    while at < block.end() {
        let entry = block.entry(at)?;
        block.assemble(&entry, &mut key)?;
        entries.push(StoredEntry { at, key: key.clone(), value: block.value(&entry)?.to_vec() });
        at = entry.next;
    }
    Some(entries)
}

/// What was counted on the way.
#[derive(Default)]
struct Found {
    entries: u64,
    tombstones: u64,
    older: u64,
    raw_bytes: u64,
    smallest: Option<Vec<u8>>,
    last: Vec<u8>,
    /// The user keys of this partition's data blocks.
    hashes: Vec<u64>,
    /// The first and last key of each data block of this partition.
    ends: Vec<(Handle, Vec<u8>, Vec<u8>)>,
}

/// On the way through a table.
struct Walk<'a> {
    table: &'a Table,
    damage: Vec<Error>,
    next: u64,
    contents: Xxh3,
    found: Found,
}

impl Walk<'_> {
    fn says(&mut self, at: Handle, reason: &str) {
        self.damage.push(self.table.reader().damaged(at, reason));
    }

    fn region(&mut self, region: Region) {
        let at = region.at;
        if at.offset != self.next {
            self.says(at, "the parts of the table do not stand side by side");
        }
        self.next = at.end();
        let decoded = match self.table.decode(region) {
            Ok(decoded) => decoded,
            Err(error) => {
                // The layout has told of a damaged index, and damage twice is no more damage.
                if !matches!(region.kind, RegionKind::Index | RegionKind::Top) {
                    self.damage.push(error);
                }
                return;
            }
        };
        if region.kind != RegionKind::Footer {
            self.contents.update(&decoded.checksum.to_le_bytes());
        }
        match decoded.content {
            Content::Entries(entries) => self.data(at, entries),
            Content::Filter(filter) => self.filter(at, &filter),
            Content::Index(blocks) => self.index(at, &blocks),
            _ => {}
        }
    }

    fn data(&mut self, at: Handle, entries: Vec<StoredEntry>) {
        let order = &self.table.shelf().order;
        let found = &mut self.found;
        let mut is_sorted = true;
        let ends = entries.first().zip(entries.last());
        found.ends.extend(ends.map(|(first, last)| (at, first.key.clone(), last.key.clone())));
        for StoredEntry { key: internal, value, .. } in entries {
            let (user_key, trailer) = key::split(&internal);
            is_sorted &=
                found.last.is_empty() || order.compare_internal(&found.last, &internal) == Ordering::Less;
            found.entries += 1;
            found.tombstones += u64::from(key::Kind::of(trailer) == Some(key::Kind::Remove));
            let is_first = found.last.is_empty();
            found.older +=
                u64::from(!is_first && order.compare(key::user_key(&found.last), user_key).is_eq());
            found.raw_bytes += (user_key.len() + value.len()) as u64;
            found.hashes.push(self.table.shelf().hash(user_key));
            found.smallest.get_or_insert_with(|| internal.clone());
            found.last = internal;
        }
        if !is_sorted {
            self.says(at, "keys out of order");
        }
    }

    fn filter(&mut self, at: Handle, filter: &Filter) {
        if self.found.hashes.iter().any(|&hash| !filter.may_contain(hash)) {
            self.says(at, "a filter denies a key that is there");
        }
    }

    fn index(&mut self, at: Handle, blocks: &[(Vec<u8>, Handle)]) {
        let order = &self.table.shelf().order;
        let mut is_right = true;
        for (separator, handle) in blocks {
            // A block that is damaged is not among them, and has been told of.
            if let Some((_, first, last)) = self.found.ends.iter().find(|(at, ..)| at == handle) {
                let is_last_below = Target::of(separator).is_above(order, last) || separator == last;
                is_right &= is_last_below && order.compare_internal(first, separator) != Ordering::Greater;
            }
        }
        let below = blocks.iter().zip(self.found.ends.iter().skip(1));
        if self.found.ends.len() == blocks.len() {
            is_right &= below.into_iter().all(|((separator, _), (_, first, _))| {
                order.compare_internal(separator, first) == Ordering::Less
            });
        }
        self.found.ends.clear();
        self.found.hashes.clear();
        if !is_right {
            self.says(at, "a separator that does not separate");
        }
    }

    fn end(&mut self) {
        let properties = self.table.properties();
        let found = std::mem::take(&mut self.found);
        if self.next != self.table.len() {
            self.says(self.table.footer().properties, "the parts do not fill the table");
        }
        // With a part missing the sums are wrong for that reason.
        if !self.damage.is_empty() {
            return;
        }
        let is_same = (found.entries, found.tombstones, found.older, found.raw_bytes)
            == (properties.entries, properties.tombstones, properties.older, properties.raw_bytes)
            && found.smallest.as_ref() == Some(&properties.smallest)
            && found.last == properties.largest;
        if !is_same {
            self.says(self.table.footer().properties, "properties that are not those of the contents");
        }
        if self.contents.digest() != self.table.footer().contents {
            self.says(self.table.footer_at(), "an identity that is not that of the contents");
        }
    }
}
