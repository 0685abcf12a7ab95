//! What stands around the blocks of a table: trailers, handles, the footer, the properties.
//!
//! The grammar of the whole file is in [`crate::engine::lsm::table`].

use crate::codec::{self, Reader};
use crate::engine::batch::{MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::engine::lsm::key;
use crate::engine::lsm::options::Compression;
use crate::engine::lsm::version::edit::TableMeta;
use bincode::Options;
use serde::{Deserialize, Serialize};

/// What a table ends with.
pub const MAGIC: &[u8; 8] = b"KVSTAB\0\x01";

/// The version of the format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// Bytes behind the body of each block: how it is compressed, and a checksum.
pub const TRAILER_LEN: usize = 1 + 4;

/// Bytes of the footer.
pub const FOOTER_LEN: usize = 5 * 8 + 4 + 4 + 8;

/// The most bytes of an uncompressed block: the largest entry that is legal, behind a block that is
/// just not full.
pub const MAX_BLOCK_LEN: usize = MAX_VALUE_LEN + 2 * MAX_KEY_LEN + (4 << 20);

/// Where the checksums of one file begin: bound to the store and to the file's number, so that no block
/// of another file passes for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(u32);

impl Salt {
    /// The salt of file `number` of a store.
    pub fn new(store_id: u64, number: u64) -> Salt {
        Salt(crc32c::crc32c_append(crc32c::crc32c(&store_id.to_le_bytes()), &number.to_le_bytes()))
    }

    /// The checksum of bytes that stand at `offset`.
    #[inline]
    pub fn checksum(self, offset: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), bytes)
    }
}

/// Where a block is, trailer included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handle {
    /// The offset of its first byte.
    pub offset: u64,
    /// Its bytes, trailer included.
    pub len: u64,
}

impl Handle {
    /// Appends two varints.
    pub fn encode(&self, out: &mut Vec<u8>) {
        codec::put_varint(out, self.offset);
        codec::put_varint(out, self.len);
    }

    /// Reads what [`Handle::encode`] wrote; `None` also if the block would be no block, or does not end
    /// by `end`.
    #[inline]
    pub fn decode(reader: &mut Reader<'_>, end: u64) -> Option<Handle> {
        Handle { offset: reader.varint()?, len: reader.varint()? }.within(end)
    }

    /// The handle, if a block can be there in a file that has `end` bytes in front of its footer.
    #[inline]
    pub fn within(self, end: u64) -> Option<Handle> {
        let fits = self.len > TRAILER_LEN as u64 && self.end() <= end;
        fits.then_some(self)
    }

    /// Where the next block begins.
    #[inline]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// The byte that says how a block is compressed.
pub fn compression_byte(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Lz4 => 1,
        Compression::Zstd => 2,
    }
}

/// Appends the trailer of the block that is the end of `out`, from `start` on, and will stand at
/// `offset`. Returns its checksum.
pub fn seal(out: &mut Vec<u8>, start: usize, salt: Salt, offset: u64, compression: Compression) -> u32 {
    out.push(compression_byte(compression));
    let sum = salt.checksum(offset, &out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
    sum
}

/// A block whose checksum is right, as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// Its bytes, as they are compressed.
    pub body: &'a [u8],
    /// How they are compressed.
    pub compression: Compression,
    /// Its checksum.
    pub checksum: u32,
}

/// Opens a block that was read from `offset`: checks the checksum, and says in words what is wrong.
#[inline]
pub fn unseal(bytes: &[u8], salt: Salt, offset: u64) -> Result<Sealed<'_>, &'static str> {
    let (sealed, checksum) = bytes.split_last_chunk::<4>().ok_or("a block is cut")?;
    let checksum = u32::from_le_bytes(*checksum);
    if salt.checksum(offset, sealed) != checksum {
        return Err("block checksum mismatch");
    }
    let (&byte, body) = sealed.split_last().ok_or("a block is cut")?;
    let compression = match byte {
        0 => Compression::None,
        1 => Compression::Lz4,
        2 => Compression::Zstd,
        _ => return Err("a block with an unknown compression"),
    };
    Ok(Sealed { body, compression, checksum })
}

/// The end of the file: where to begin reading, and which table this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The index of the index.
    pub top: Handle,
    /// The properties.
    pub properties: Handle,
    /// XXH3 of the checksums of all blocks, in their order: tells this table from any other.
    pub contents: u64,
}

/// Why bytes are no footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFooter {
    /// They are damaged, as these words say.
    Damaged(&'static str),
    /// They are a footer of this version, which this build does not know.
    Unknown(u32),
}

impl Footer {
    /// The footer's bytes, to stand at `offset`.
    pub fn encode(&self, salt: Salt, offset: u64) -> [u8; FOOTER_LEN] {
        let mut out = Vec::with_capacity(FOOTER_LEN);
        for n in [self.top.offset, self.top.len, self.properties.offset, self.properties.len, self.contents] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&salt.checksum(offset, &out).to_le_bytes());
        out.extend_from_slice(MAGIC);
        out.try_into().expect("the sizes of the fields are the size of the footer")
    }

    /// Reads the footer that stood at `offset`.
    pub fn decode(bytes: &[u8; FOOTER_LEN], salt: Salt, offset: u64) -> Result<Footer, BadFooter> {
        let mut reader = Reader::new(bytes);
        let mut number = || reader.u64().unwrap_or(0);
        let top = Handle { offset: number(), len: number() };
        let properties = Handle { offset: number(), len: number() };
        let contents = number();
        let (format, sum) = (reader.u32().unwrap_or(0), reader.u32().unwrap_or(0));
        if reader.rest() != MAGIC {
            return Err(BadFooter::Damaged("the table does not end with its magic number"));
        }
        if salt.checksum(offset, &bytes[..FOOTER_LEN - 12]) != sum {
            return Err(BadFooter::Damaged("footer checksum mismatch"));
        }
        if format != FORMAT {
            return Err(BadFooter::Unknown(format));
        }
        let fits = top.within(offset).is_some() && properties.within(offset).is_some();
        fits.then_some(Footer { top, properties, contents })
            .ok_or(BadFooter::Damaged("the footer points out of the table"))
    }
}

/// What a table says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Its entries, tombstones included.
    pub entries: u64,
    /// Of these, tombstones.
    pub tombstones: u64,
    /// Of these, such as stand behind a newer one of their key: kept for somebody's snapshot.
    pub older: u64,
    /// Bytes of user keys and values, before prefixes were shared and blocks compressed.
    pub raw_bytes: u64,
    /// Bytes of data blocks as they were before compression, trailers left out.
    pub block_bytes: u64,
    /// The lowest sequence number.
    pub first_seqno: u64,
    /// The highest sequence number.
    pub last_seqno: u64,
    /// The first internal key.
    pub smallest: Vec<u8>,
    /// The last internal key.
    pub largest: Vec<u8>,
    /// The name of the order of its keys.
    pub comparator: String,
    /// The level that it was written for.
    pub level: u8,
    /// Bits of filter for each key; 0: none.
    pub filter_bits: u32,
    /// Index partitions.
    pub partitions: u64,
    /// Data blocks that are not compressed.
    pub plain_blocks: u64,
    /// Data blocks that LZ4 compressed.
    pub lz4_blocks: u64,
    /// Data blocks that Zstandard compressed.
    pub zstd_blocks: u64,
}

/// Little-endian, fixed width; never reads beyond the slice, and wants all of it.
fn coding() -> impl Options {
    bincode::options().with_fixint_encoding().with_little_endian().reject_trailing_bytes()
}

impl Properties {
    /// The bytes that [`Properties::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        coding().serialize(self).expect("writing plain data to memory can not fail")
    }

    /// Bytes of the longest: two keys, and more than enough for the rest.
    const MAX_LEN: usize = 2 * (MAX_KEY_LEN + key::TRAILER_LEN) + 1024;

    /// Reads properties from bytes whose checksum has been found right.
    pub fn decode(bytes: &[u8]) -> Option<Properties> {
        if bytes.len() > Self::MAX_LEN {
            return None;
        }
        coding().with_limit(bytes.len() as u64).deserialize(bytes).ok()
    }

    /// Data blocks.
    pub fn blocks(&self) -> u64 {
        self.plain_blocks.saturating_add(self.lz4_blocks).saturating_add(self.zstd_blocks)
    }

    /// What a manifest says of a table with these properties, that has `len` bytes and stands in `level`.
    pub fn meta(&self, level: u8, len: u64, contents: u64) -> TableMeta {
        TableMeta {
            level,
            len,
            contents,
            smallest: self.smallest.clone(),
            largest: self.largest.clone(),
            first_seqno: self.first_seqno,
            last_seqno: self.last_seqno,
            entries: self.entries,
            tombstones: self.tombstones,
            older: self.older,
            raw_bytes: self.raw_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadFooter, FOOTER_LEN, Footer, Handle, Salt, TRAILER_LEN, seal, unseal};
    use crate::codec::Reader;
    use crate::engine::lsm::options::Compression;

    #[test]
    fn a_block_passes_in_its_place_only() {
        let salt = Salt::new(7, 3);
        let mut bytes = b"head".to_vec();
        bytes.extend_from_slice(b"body");
        seal(&mut bytes, 4, salt, 100, Compression::Lz4);
        let block = &bytes[4..];
        let found = unseal(block, salt, 100).unwrap();
        assert_eq!((found.body, found.compression), (&b"body"[..], Compression::Lz4));
        for (salt, offset) in [(salt, 101), (Salt::new(7, 4), 100), (Salt::new(8, 3), 100)] {
            assert!(unseal(block, salt, offset).is_err());
        }
        for bit in 0..block.len() * 8 {
            let mut flipped = block.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&flipped, salt, 100).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_block_has_a_byte_and_a_trailer_and_ends_before_the_footer() {
        let fits = |offset, len| Handle { offset, len }.within(100).is_some();
        let trailer = TRAILER_LEN as u64;
        assert!(!fits(0, trailer) && fits(0, trailer + 1));
        assert!(fits(90, 10) && !fits(91, 10) && !fits(u64::MAX, 10));
    }

    #[test]
    fn a_footer_is_bound_to_its_place() {
        let salt = Salt::new(7, 3);
        let [top, properties] = [Handle { offset: 10, len: 20 }, Handle { offset: 30, len: 40 }];
        let footer = Footer { top, properties, contents: 99 };
        let bytes = footer.encode(salt, 70);
        assert_eq!(Footer::decode(&bytes, salt, 70), Ok(footer));
        assert!(Footer::decode(&bytes, salt, 71).is_err());
        for bit in 0..FOOTER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Footer::decode(&flipped, salt, 70), Err(BadFooter::Damaged(_))), "bit {bit}");
        }
        let outside = Footer { top: Handle { offset: 60, len: 11 }, ..footer };
        assert!(Footer::decode(&outside.encode(salt, 70), salt, 70).is_err());
        let mut later = bytes;
        later[40] = 2;
        let sum = salt.checksum(70, &later[..FOOTER_LEN - 12]);
        later[44..48].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Footer::decode(&later, salt, 70), Err(BadFooter::Unknown(2)));
    }

    #[test]
    fn handles_stay_within_the_file() {
        let mut out = Vec::new();
        Handle { offset: 5, len: 6 }.encode(&mut out);
        assert!(Handle::decode(&mut Reader::new(&out), 11).is_some());
        assert!(Handle::decode(&mut Reader::new(&out), 10).is_none());
        let over = Handle { offset: u64::MAX, len: 6 };
        assert!(over.within(u64::MAX - 1).is_none());
    }
}
