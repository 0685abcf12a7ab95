//! A table's file taken apart, damaged or not: every byte is in a region.
//!
//! Footer, top index and indexes say where everything is. Where one of them is damaged, what it named is
//! searched for: the parts of a table stand side by side, so the next one begins where one ends, and a
//! checksum that is right says where it ends itself.

pub(super) mod cursor;
pub(super) mod explain;
mod hunt;
pub(super) mod part;
pub(super) mod show;
mod stretch;

use crate::codec::Reader;
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{BadFooter, FOOTER_LEN, Footer, Handle, Properties, Salt};
use crate::inspect::bytes::Bytes;
use crate::inspect::table::hunt::Hunt;
use crate::inspect::table::part::{Kind, Opened, Region, open_block};

/// A table's file.
#[derive(Debug)]
pub(super) struct TableFile {
    pub(super) bytes: Bytes,
    pub(super) salt: Salt,
    /// Every byte, in the order of the file.
    pub(super) regions: Vec<Region>,
    /// The footer, or why there is none.
    pub(super) footer: Result<Footer, String>,
    /// The properties, or why there are none.
    pub(super) properties: Result<Properties, String>,
}

impl TableFile {
    /// Takes a file apart. Reads its footer and its indexes; where these are damaged, all of it.
    pub(super) fn read(mut bytes: Bytes, salt: Salt) -> TableFile {
        let footer = read_footer(&mut bytes, salt);
        let properties = Err("nothing says where they are".to_string());
        let mut file = TableFile { bytes, salt, regions: Vec::new(), footer, properties };
        let mut known = file.known();
        known.sort_by_key(|region| (region.at, region.end));
        file.fill(known);
        let properties = file.regions.iter().rfind(|region| region.kind == Kind::Properties).copied();
        if let Some(region) = properties {
            let opened = file.open(region);
            file.properties = opened.and_then(|opened| {
                Properties::decode(&opened.plain).ok_or_else(|| "properties that can not be read".into())
            });
        }
        file
    }

    /// Whether the file's footer has a checksum with this salt.
    pub(super) fn is_salted_with(bytes: &Bytes, salt: Salt) -> bool {
        read_footer(&mut bytes.elsewhere(), salt).is_ok()
    }

    /// The properties that the file's footer names, if both are whole. Reads nothing else of it.
    pub(super) fn properties_of(bytes: &Bytes, salt: Salt) -> Option<Properties> {
        let mut bytes = bytes.elsewhere();
        let Handle { offset, len } = read_footer(&mut bytes, salt).ok()?.properties;
        let opened = open_block(bytes.get(offset, usize::try_from(len).ok()?), salt, offset).ok()?;
        Properties::decode(&opened.plain)
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len()
    }

    /// The regions that footer and indexes name.
    fn known(&mut self) -> Vec<Region> {
        let Ok(footer) = self.footer else { return Vec::new() };
        let end = self.len() - FOOTER_LEN as u64;
        let region = |kind, at: Handle| Region { kind, at: at.offset, end: at.end() };
        let top = region(Kind::Top, footer.top);
        let mut known = vec![
            Region { kind: Kind::Footer, at: end, end: self.len() },
            region(Kind::Properties, footer.properties),
            top,
        ];
        for value in self.values(top) {
            let mut reader = Reader::new(&value);
            let Some(index) = Handle::decode(&mut reader, end) else { continue };
            let filter = Handle::decode(&mut reader, end);
            known.extend(filter.map(|filter| region(Kind::Filter, filter)));
            let index = region(Kind::Index, index);
            known.push(index);
            let blocks = self.values(index);
            let handle = |value: &Vec<u8>| Handle::decode(&mut Reader::new(value), end);
            known.extend(blocks.iter().filter_map(handle).map(|at| region(Kind::Data, at)));
        }
        known
    }

    /// The values of an index; none, if it is damaged.
    fn values(&mut self, region: Region) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        if let Ok(opened) = self.open(region) {
            // What stands before a malformed entry counts.
            let _ = opened.each(|_, _, entry| values.push(opened.value(entry).to_vec()));
        }
        values
    }

    /// Puts the regions in a row, and searches for what stands between them.
    fn fill(&mut self, known: Vec<Region>) {
        let (mut at, len) = (0, self.len());
        for region in known {
            // Handles that cross each other are no handles.
            if region.at >= at {
                self.search(at, region.at);
                self.regions.push(region);
                at = region.end;
            }
        }
        self.search(at, len);
    }

    fn search(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let found = Hunt { bytes: &mut self.bytes, salt: self.salt, regions: &self.regions }.all(from, to);
        self.regions.extend(found);
    }

    /// Reads a block; says what is wrong with it.
    pub(super) fn open(&mut self, region: Region) -> Result<Opened, String> {
        let bytes = self.bytes.get(region.at, (region.end - region.at) as usize);
        open_block(bytes, self.salt, region.at)
    }

    /// The filter in a region; says what is wrong with it.
    pub(super) fn filter(&mut self, region: Region) -> Result<Filter, String> {
        Filter::decode(&self.open(region)?.plain).ok_or_else(|| "no filter".into())
    }
}

fn read_footer(bytes: &mut Bytes, salt: Salt) -> Result<Footer, String> {
    let at = bytes.len().checked_sub(FOOTER_LEN as u64).ok_or("the file is shorter than a footer")?;
    let found = bytes.get(at, FOOTER_LEN).first_chunk().ok_or("the footer can not be read")?;
    Footer::decode(found, salt, at).map_err(|bad| match bad {
        BadFooter::Damaged(reason) => reason.into(),
        BadFooter::Unknown(format) => format!("format {format}, which this build does not know"),
    })
}
