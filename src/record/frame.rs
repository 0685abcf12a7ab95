//! The bytes of a log's header and of one record. The layout is drawn in [`crate::record`].

use crate::codec::{self, Reader};

/// What a log begins with.
pub const MAGIC: &[u8; 8] = b"KVSLOG\0\x01";

/// Bytes of a log's header.
pub const HEADER_LEN: u64 = 32;

/// The most bytes of a record that are not its payload.
pub const MAX_OVERHEAD: usize = 4 + 1 + 2 * codec::MAX_VARINT_LEN;

/// The kind of the record that a clean close writes.
pub const CLOSE: u8 = 15;

const HAS_SYNCED: u8 = 0b100;

/// Which log a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The store that it belongs to.
    pub store_id: u64,
    /// Its number in the store.
    pub number: u64,
    /// What sort of log, in the words of its owner.
    pub kind: u32,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut out = [0; HEADER_LEN as usize];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.store_id.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..28].copy_from_slice(&self.kind.to_le_bytes());
        let sum = crc32c::crc32c(&out[..28]);
        out[28..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a header; `None` if it is cut, damaged, or of another format.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let head: &[u8; HEADER_LEN as usize] = bytes.first_chunk()?;
        let mut reader = Reader::new(head);
        let magic = reader.take(8)?;
        let header = Header { store_id: reader.u64()?, number: reader.u64()?, kind: reader.u32()? };
        (magic == MAGIC && crc32c::crc32c(&head[..28]) == reader.u32()?).then_some(header)
    }

    /// Where the checksum of each of the log's records begins.
    pub fn salt(&self) -> u32 {
        crc32c::crc32c(&self.encode()[8..28])
    }
}

/// Where in its group a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A group of one.
    Full,
    /// The first of several.
    First,
    /// Between them.
    Middle,
    /// The last: with it, the group has happened.
    Last,
}

impl Part {
    /// The part of record `index` in a group of `count`.
    #[inline]
    pub fn of(index: usize, count: usize) -> Part {
        match (index == 0, index + 1 == count) {
            (true, true) => Part::Full,
            (true, false) => Part::First,
            (false, false) => Part::Middle,
            (false, true) => Part::Last,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Part::Full => 0,
            Part::First => 1,
            Part::Middle => 2,
            Part::Last => 3,
        }
    }
}

/// One record, read from bytes that it borrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its kind, in the words of the log's owner; or [`CLOSE`].
    pub kind: u8,
    /// Its place in its group.
    pub part: Part,
    /// How much of the file was known to be durable when it was written, if it says.
    pub synced: Option<u64>,
    /// What it carries.
    pub payload: &'a [u8],
    /// Its bytes in all.
    pub len: usize,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// The bytes end before the record does.
    #[error("the record is cut")]
    Cut,
    /// No record begins like this.
    #[error("no record begins here")]
    Head,
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
}

/// The parts of a record before its checksum is known to be right: all that can be said of damaged
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its kind; never 0.
    pub kind: u8,
    /// Its place in its group.
    pub part: Part,
    /// How much of the file it says was durable, if it says.
    pub synced: Option<u64>,
    /// Where the payload begins, counted from the record's first byte.
    pub payload: usize,
    /// Bytes in all.
    pub len: usize,
}

impl Shape {
    /// Reads what stands before the payload. `limit` is how many bytes the record can have at most:
    /// no length is believed beyond it.
    #[inline]
    pub fn read(bytes: &[u8], limit: u64) -> Result<Shape, Bad> {
        let mut reader = Reader::new(bytes);
        reader.u32().ok_or(Bad::Cut)?;
        let head = reader.u8().ok_or(Bad::Cut)?;
        let kind = head >> 4;
        if kind == 0 || head & 0b1000 != 0 {
            return Err(Bad::Head);
        }
        let part = match head & 0b11 {
            0 => Part::Full,
            1 => Part::First,
            2 => Part::Middle,
            _ => Part::Last,
        };
        let payload_len = reader.varint().ok_or(Bad::Cut)?;
        let synced = match head & HAS_SYNCED {
            0 => None,
            _ => Some(reader.varint().ok_or(Bad::Cut)?),
        };
        let payload = bytes.len() - reader.rest().len();
        let len = payload_len.checked_add(payload as u64).filter(|&len| len <= limit).ok_or(Bad::Cut)?;
        Ok(Shape { kind, part, synced, payload, len: usize::try_from(len).map_err(|_| Bad::Cut)? })
    }
}

/// How many bytes the record that begins with `bytes` has, if it has at most `limit`. Its checksum is
/// not looked at: `bytes` need not hold all of it.
#[inline]
pub fn record_len(bytes: &[u8], limit: u64) -> Result<usize, Bad> {
    Shape::read(bytes, limit).map(|shape| shape.len)
}

/// What a record that begins with `bytes` says was durable, before its checksum is looked at: what a
/// search for a later witness asks at every offset.
#[inline]
pub fn claim(bytes: &[u8], limit: u64) -> Option<u64> {
    Shape::read(bytes, limit).ok()?.synced
}

/// Reads the record that begins at `offset` of the log with this salt. `bytes` may go on behind it.
#[inline]
pub fn decode(bytes: &[u8], salt: u32, offset: u64) -> Result<Record<'_>, Bad> {
    let shape = Shape::read(bytes, bytes.len() as u64)?;
    let sum = Reader::new(bytes).u32().ok_or(Bad::Cut)?;
    if checksum(&bytes[4..shape.len], salt, offset) != sum {
        return Err(Bad::Checksum);
    }
    Ok(shape.record(bytes))
}

/// As [`decode`], for bytes whose checksum has been found right before.
pub fn decode_verified(bytes: &[u8]) -> Result<Record<'_>, Bad> {
    Ok(Shape::read(bytes, bytes.len() as u64)?.record(bytes))
}

impl Shape {
    #[inline]
    fn record<'a>(&self, bytes: &'a [u8]) -> Record<'a> {
        let Shape { kind, part, synced, payload, len } = *self;
        Record { kind, part, synced, payload: &bytes[payload..len], len }
    }
}

/// Appends a record that will stand at `offset`; its payload is `pieces`, one behind the other.
#[inline]
pub fn encode(
    out: &mut Vec<u8>,
    salt: u32,
    offset: u64,
    (kind, part): (u8, Part),
    synced: Option<u64>,
    pieces: &[&[u8]],
) {
    debug_assert!((1..=CLOSE).contains(&kind));
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let has_synced = if synced.is_some() { HAS_SYNCED } else { 0 };
    out.push(kind << 4 | has_synced | part.bits());
    codec::put_varint(out, pieces.iter().map(|piece| piece.len() as u64).sum());
    if let Some(synced) = synced {
        codec::put_varint(out, synced);
    }
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    let sum = checksum(&out[start + 4..], salt, offset);
    out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
}

/// Where the checksum of the record at `offset` begins, in the log with this salt. Who goes on with
/// [`crc32c::crc32c_append`] over all that follows the record's first four bytes gets its checksum.
#[inline]
pub fn seed(salt: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(salt, &offset.to_le_bytes())
}

#[inline]
fn checksum(body: &[u8], salt: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(seed(salt, offset), body)
}

#[cfg(test)]
mod tests {
    use super::{Bad, CLOSE, Header, Part, claim, decode, encode, record_len};

    const HEADER: Header = Header { store_id: 7, number: 3, kind: 1 };

    fn sample(offset: u64, synced: Option<u64>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, HEADER.salt(), offset, (2, Part::First), synced, &[b"pay", b"", b"load"]);
        out
    }

    #[test]
    fn a_record_round_trips() {
        for synced in [None, Some(0), Some(1 << 40)] {
            let bytes = sample(99, synced);
            let record = decode(&bytes, HEADER.salt(), 99).unwrap();
            assert_eq!((record.kind, record.part, record.synced), (2, Part::First, synced));
            assert_eq!((record.payload, record.len), (&b"payload"[..], bytes.len()));
        }
        assert_eq!(sample(0, None).len() - 7, 6, "checksum, head, length");
    }

    #[test]
    fn each_record_knows_its_part_of_its_group() {
        let of = |count: usize| (0..count).map(|index| Part::of(index, count)).collect::<Vec<_>>();
        assert_eq!(of(1), [Part::Full]);
        assert_eq!(of(2), [Part::First, Part::Last]);
        assert_eq!(of(4), [Part::First, Part::Middle, Part::Middle, Part::Last]);
        for part in of(3).into_iter().chain(of(1)) {
            let mut bytes = Vec::new();
            encode(&mut bytes, 0, 0, (CLOSE, part), None, &[]);
            assert_eq!(decode(&bytes, 0, 0).unwrap().part, part);
        }
    }

    #[test]
    fn what_was_durable_is_said_before_the_checksum() {
        for synced in [None, Some(0), Some(1 << 40)] {
            let mut bytes = sample(99, synced);
            bytes[0] ^= 1;
            assert_eq!(claim(&bytes, bytes.len() as u64), synced);
            assert_eq!(claim(&bytes, bytes.len() as u64 - 1), None, "it is cut");
        }
    }

    #[test]
    fn no_record_begins_with_a_kind_of_0_or_the_bit_that_is_kept_free() {
        for head in [0b0000_0000, 0b0000_0100, 0b0001_1000, 0b1111_1000] {
            let len = record_len(&[0, 0, 0, 0, head, 0, 0], 100);
            assert_eq!(len, Err(Bad::Head), "{head:08b}");
        }
        assert_eq!(record_len(&[0, 0, 0, 0, 0b0001_0000, 0, 0], 100), Ok(6));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let bytes = sample(99, Some(5));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes, HEADER.salt(), 99).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut], HEADER.salt(), 99), Err(Bad::Cut), "cut at {cut}");
        }
    }

    #[test]
    fn a_record_belongs_to_its_store_its_file_and_its_place() {
        let bytes = sample(99, None);
        assert!(decode(&bytes, HEADER.salt(), 100).is_err(), "another offset");
        for other in
            [Header { store_id: 8, ..HEADER }, Header { number: 4, ..HEADER }, Header { kind: 2, ..HEADER }]
        {
            assert!(decode(&bytes, other.salt(), 99).is_err(), "{other:?}");
        }
    }

    #[test]
    fn zeros_are_never_a_record() {
        for len in 0..64 {
            assert!(decode(&vec![0; len], 0, 0).is_err());
        }
    }

    #[test]
    fn no_length_is_believed_beyond_the_limit() {
        let mut bytes = vec![0, 0, 0, 0, CLOSE << 4];
        bytes.extend_from_slice(&[0xff; 9]);
        bytes.push(1);
        assert_eq!(record_len(&bytes, 1 << 30), Err(Bad::Cut));
        assert_eq!(record_len(&bytes, u64::MAX), Err(Bad::Cut), "an overflow");
    }

    #[test]
    fn a_damaged_header_is_no_header() {
        let bytes = HEADER.encode();
        assert_eq!(Header::decode(&bytes), Some(HEADER));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bytes), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&bytes[..31]), None);
    }
}
