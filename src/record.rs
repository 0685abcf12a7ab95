//! The record log: one frame, one checksum, one torn-tail rule, one writer, one reader, for
//! everything in this crate that is a log.
//!
//! ```text
//! log    := header record*
//! header := magic[8] store_id:u64 number:u64 kind:u32 checksum:u32        32 bytes
//! record := checksum:u32 head:u8 len:varint [synced:varint] payload[len]
//! head   := part:2 has_synced:1 0:1 kind:4                                lowest bits first
//! ```
//!
//! What each byte buys:
//!
//! - **checksum**: CRC-32C of all that follows in the record, seeded with the store's id, the file's
//!   number and kind, and the record's offset. So bytes of another store, of another file, of an
//!   earlier life of this one, or of another place in it never pass (old blocks behind the end, a
//!   value that holds a log).
//! - **head**: the *part* makes groups: a record is `Full`, or a group is `First Middle* Last`. A group
//!   without its `Last` never happened. The *kind* belongs to the log's owner, is 1 to 14, and never
//!   0, so that zeros are never a record, whatever their checksum. Kind 15 is `Close`, which a clean
//!   close writes last.
//! - **len**: one byte for payloads below 128 bytes, two below 16 KiB.
//! - **synced**: how much of the file was known to be durable when this record was written. It stands
//!   only where that has changed: once a sync. It is what tells damage from a torn tail.
//!
//! # Where a log ends
//!
//! A log that was being written when the power went ends anywhere: in half a record, in zeros, in old
//! bytes. A log that was damaged can look the same. Let `x` be the first offset that holds no whole,
//! valid group. Then:
//!
//! 1. A sealed log must have none: its length is known, and `x` below it is damage.
//! 2. In the last log, if any valid record behind `x` says that more than `x` bytes were durable, or the
//!    manifest does (after a clean close), `x` was durable once, and is now damaged. The idea is Pebble's.
//! 3. Else nothing that was acknowledged as durable is known to stand at `x`: the tail is torn, and cut; or
//!    it is zeros, and was reserved.
//!
//! What this can not tell: a flipped bit in the last records of a log that crashed, which nothing
//! behind them vouches for. After a clean close the `Close` record vouches for all before it.

pub mod frame;
pub mod reader;
pub mod sums;
mod window;
pub mod writer;
