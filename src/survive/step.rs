//! One step of a workload: a change, or something that changes files and nothing else.

use crate::engine::Pairs;
use crate::engine::options::Durability;
use crate::engine::range::KeyRange;
use crate::error::Result;

/// A key, and its value or (`None`) its removal.
pub type Member = (Vec<u8>, Option<Vec<u8>>);

/// One step of a workload. Writes are the changes that are counted: each is there or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A batch: sets, and removals (`None`).
    Write(Vec<Member>, Durability),
    /// As durable as the setting says.
    Remove(Vec<u8>),
    /// As durable as the setting says.
    Swap(Vec<u8>, Option<Vec<u8>>),
    /// A load of sorted pairs, which is one change here: an LSM tree's is durable, a Bitcask's is as
    /// durable as the setting says.
    Load(Vec<(Vec<u8>, Vec<u8>)>),
    /// All that was acknowledged becomes durable.
    Sync,
    /// As [`KvsEngine::flush`](crate::engine::KvsEngine::flush).
    Flush,
    /// As [`KvsEngine::compact`](crate::engine::KvsEngine::compact).
    Compact,
    /// Compacts some keys.
    CompactRange(KeyRange),
    /// Takes a snapshot, and keeps it.
    Hold,
    /// Finds in the oldest snapshot what was there, and lets go of it; does nothing if there is none.
    Release,
    /// Closes the store in an orderly way, and opens it again.
    Reopen,
    /// Makes a second store at this path.
    Checkpoint(String),
    /// Makes a store of the other engine at this path, with what is there.
    Migrate(String),
}

/// `key` gets a value of `len` bytes, no two alike.
pub fn set(key: &str, len: usize, durability: Durability) -> Step {
    batch(&[(key, Some(len))], durability)
}

/// Several keys get values of such lengths, or (`None`) are removed.
pub fn batch(members: &[(&str, Option<usize>)], durability: Durability) -> Step {
    let member = |&(key, len): &(&str, Option<usize>)| (key.into(), len.map(|len| filler(key, len)));
    Step::Write(members.iter().map(member).collect(), durability)
}

/// Ascending keys that get values of such lengths, as a load.
pub fn load(members: &[(&str, usize)]) -> Step {
    Step::Load(members.iter().map(|&(key, len)| (key.into(), filler(key, len))).collect())
}

/// Compacts the keys from the one up to the other.
pub fn compact_range(from: &str, to: &str) -> Step {
    Step::CompactRange(KeyRange::of::<&str>(from..to))
}

/// Text, so that it is never mistaken for zeros or for a record.
fn filler(key: &str, len: usize) -> Vec<u8> {
    key.bytes().chain(*b"=").cycle().take(len).collect()
}

/// Pairs to load.
pub(crate) struct List<'a>(pub(crate) std::slice::Iter<'a, (Vec<u8>, Vec<u8>)>);

impl Pairs for List<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.0.next().map(|(key, value)| (&key[..], &value[..])))
    }
}
