//! What a read looked at, step by step, in one format for both engines: `kvs explain` prints it.

use serde::Serialize;

/// How one read found its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The engine that answered.
    pub engine: &'static str,
    /// The newest write that the read could see.
    pub visible_seqno: u64,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// What was found; `None` if there is no such key. For a scan, the last pair.
    pub found: Option<Found>,
    /// Pairs that a scan returned; 0 or 1 for a get.
    pub pairs: u64,
}

/// One place that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The place: `keydir`, `memtable`, `000012.sst`.
    pub place: String,
    /// The level of a table of the LSM tree.
    pub level: Option<u8>,
    /// What its Bloom filter said, if it was asked: `absent` or `maybe`.
    pub filter: Option<&'static str>,
    /// What came of it, in words: `not there`, `set`, `removed`, `2 of 3 entries hidden`.
    pub outcome: String,
    /// Blocks or records that were read, from the disk or from a cache.
    pub blocks: u64,
    /// Of these, such as were in the block cache.
    pub cached: u64,
    /// Bytes that were read, from the disk or from a cache.
    pub bytes: u64,
}

/// Where the answer stood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The place, as in its step.
    pub place: String,
    /// The sequence number of the write; `None` if the engine does not keep it.
    pub seqno: Option<u64>,
    /// Bytes of the value.
    pub value_bytes: u64,
}

impl Explanation {
    /// Bytes that were read in all.
    pub fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.bytes).sum()
    }
}
