//! Moving over sorted entries: the one trait that memtables, tables and levels answer to, and what is
//! put together from them.

pub mod merge;
pub mod visible;

use crate::error::Result;

/// Moves over the entries of something sorted, both ways, in the order of their internal keys.
///
/// A new cursor stands nowhere: seek first. Moving past either end makes it invalid. After an error it
/// is invalid too, and stays so until the next seek.
pub trait EntryCursor {
    /// Moves to the first entry.
    fn seek_to_first(&mut self) -> Result<()>;

    /// Moves to the last entry.
    fn seek_to_last(&mut self) -> Result<()>;

    /// Moves to the first entry that is not below `target`, an internal key.
    fn seek(&mut self, target: &[u8]) -> Result<()>;

    /// Moves to the next entry. Only on a valid cursor.
    fn next(&mut self) -> Result<()>;

    /// Moves to the entry before. Only on a valid cursor.
    fn prev(&mut self) -> Result<()>;

    /// Whether the cursor stands on an entry.
    fn valid(&self) -> bool;

    /// The entry's internal key. Only on a valid cursor.
    fn key(&self) -> &[u8];

    /// The entry's value; empty for a tombstone. Only on a valid cursor.
    fn value(&self) -> &[u8];
}
