//! A part of a table: where it is, and a block, read and unfolded.

use crate::engine::lsm::options::Compression;
use crate::engine::lsm::table::block::{Block, Entry};
use crate::engine::lsm::table::compress::Packed;
use crate::engine::lsm::table::format::{self, Salt};

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Data,
    Filter,
    Index,
    Properties,
    Top,
    Footer,
    /// Bytes of which nothing is known.
    Lost,
}

impl Kind {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Data => "data block",
            Kind::Filter => "filter",
            Kind::Index => "index",
            Kind::Properties => "properties",
            Kind::Top => "top index",
            Kind::Footer => "footer",
            Kind::Lost => "lost",
        }
    }
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) kind: Kind,
    pub(crate) at: u64,
    pub(crate) end: u64,
}

/// A block whose checksum is right.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Where it begins in the file.
    pub(crate) at: u64,
    pub(crate) compression: Compression,
    pub(crate) checksum: u32,
    /// Its bytes, unfolded.
    pub(crate) plain: Vec<u8>,
}

/// Opens the block that stands at `at`.
pub(crate) fn open_block(bytes: &[u8], salt: Salt, at: u64) -> Result<Opened, String> {
    let sealed = format::unseal(bytes, salt, at)?;
    let mut plain = Vec::new();
    match sealed.compression {
        Compression::None => plain.extend_from_slice(sealed.body),
        how => {
            let packed = Packed::new(how, sealed.body)?;
            plain.resize(packed.len, 0);
            packed.unfold(&mut plain)?;
        }
    }
    Ok(Opened { at, compression: sealed.compression, checksum: sealed.checksum, plain })
}

impl Opened {
    /// Tells `each` of the entries: where in the unfolded block, the whole key, the parts. Says what is
    /// wrong where one is malformed.
    pub(crate) fn each(&self, mut each: impl FnMut(usize, &[u8], &Entry)) -> Result<(), String> {
        let block = Block::new(&self.plain).ok_or("no block: its restart points do not fit")?;
        let (mut at, mut key) = (0, Vec::new());
        while at < block.end() {
            let entry = block.entry(at).filter(|entry| block.assemble(entry, &mut key).is_some());
            let entry = entry.ok_or_else(|| format!("the entry at {at} of the block is malformed"))?;
            each(at, &key, &entry);
            at = entry.next;
        }
        Ok(())
    }

    /// An entry's value.
    pub(crate) fn value(&self, entry: &Entry) -> &[u8] {
        self.plain.get(entry.value_range()).unwrap_or_default()
    }
}
