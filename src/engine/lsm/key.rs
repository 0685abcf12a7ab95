//! The internal key: a user's key, and which write to it this is.
//!
//! ```text
//! internal key := user_key trailer:u64        trailer = seqno << 8 | kind, little-endian
//! ```
//!
//! Entries are sorted by user key, and those of one key from the newest to the oldest, so that the
//! first entry at or behind `(key, seqno)` is what a reader at `seqno` sees. An entry is never changed:
//! a key that is set twice has two entries. From LevelDB.

use crate::engine::lsm::comparator::Order;
use std::cmp::Ordering;

/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 8;

/// The highest sequence number: seven bytes of the trailer. At a million writes a second it is reached
/// after 2,283 years; writes are refused then.
pub const MAX_SEQNO: u64 = (1 << 56) - 1;

/// What an entry says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is not there: a tombstone.
    Remove = 1,
    /// It has this value.
    Set = 2,
}

impl Kind {
    /// Reads the kind of a trailer; `None` for a byte that no kind has.
    #[inline]
    pub fn of(trailer: u64) -> Option<Kind> {
        match trailer as u8 {
            1 => Some(Kind::Remove),
            2 => Some(Kind::Set),
            _ => None,
        }
    }
}

/// The trailer of an entry.
#[inline]
pub fn trailer(seqno: u64, kind: Kind) -> u64 {
    seqno << 8 | kind as u64
}

/// The sequence number in a trailer.
#[inline]
pub fn seqno(trailer: u64) -> u64 {
    trailer >> 8
}

/// Where to seek for what a reader at `at` sees of a key: no entry of `at` or below stands before.
#[inline]
pub fn seek_trailer(at: u64) -> u64 {
    at << 8 | 0xff
}

/// Appends an internal key.
#[inline]
pub fn encode(out: &mut Vec<u8>, user_key: &[u8], trailer: u64) {
    out.extend_from_slice(user_key);
    out.extend_from_slice(&trailer.to_le_bytes());
}

/// An internal key as a vector of its own.
pub fn internal(user_key: &[u8], trailer: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(user_key.len() + TRAILER_LEN);
    encode(&mut key, user_key, trailer);
    key
}

/// Both parts of an internal key. Who reads keys from a file checks first that they are long enough
/// ([`is_valid`]); one that is not counts as an empty user key.
#[inline]
pub fn split(internal: &[u8]) -> (&[u8], u64) {
    match internal.split_last_chunk::<TRAILER_LEN>() {
        Some((user_key, trailer)) => (user_key, u64::from_le_bytes(*trailer)),
        None => (&[], 0),
    }
}

/// The user's part of an internal key.
#[inline]
pub fn user_key(internal: &[u8]) -> &[u8] {
    split(internal).0
}

/// Whether bytes are an internal key.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    bytes.len() >= TRAILER_LEN && Kind::of(split(bytes).1).is_some()
}

impl Order {
    /// How two internal keys stand: by user key, then the newest first.
    #[inline]
    pub fn compare_internal(&self, a: &[u8], b: &[u8]) -> Ordering {
        let ((a, a_trailer), (b, b_trailer)) = (split(a), split(b));
        self.compare(a, b).then(b_trailer.cmp(&a_trailer))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, MAX_SEQNO, internal, is_valid, seek_trailer, seqno, split, trailer};
    use crate::engine::lsm::comparator::Order;
    use std::cmp::Ordering::{Greater, Less};

    #[test]
    fn the_newest_entry_of_a_key_comes_first() {
        let order = Order::Bytewise;
        let at = |key: &[u8], n, kind| internal(key, trailer(n, kind));
        assert_eq!(order.compare_internal(&at(b"a", 2, Kind::Set), &at(b"a", 1, Kind::Set)), Less);
        assert_eq!(order.compare_internal(&at(b"a", 1, Kind::Set), &at(b"b", 9, Kind::Set)), Less);
        assert_eq!(order.compare_internal(&at(b"ab", 1, Kind::Set), &at(b"a", 9, Kind::Set)), Greater);
        let seek = internal(b"a", seek_trailer(5));
        assert_eq!(order.compare_internal(&seek, &at(b"a", 5, Kind::Set)), Less);
        assert_eq!(order.compare_internal(&seek, &at(b"a", 6, Kind::Remove)), Greater);
    }

    #[test]
    fn both_parts_come_back() {
        let key = internal(b"", trailer(MAX_SEQNO, Kind::Remove));
        assert_eq!(split(&key), (&b""[..], trailer(MAX_SEQNO, Kind::Remove)));
        assert_eq!(seqno(split(&key).1), MAX_SEQNO);
        assert!(is_valid(&key) && !is_valid(&key[1..]) && !is_valid(&[0; 8]));
    }
}
