//! What is fuzzed. A target is a function that takes any bytes, and panics where a promise is broken.
//!
//! These files belong to two crates: to `kvs-fuzz`, which gives them to libFuzzer, and to `tests/corpus.rs`,
//! which replays what was found, as a part of the gate and without anything to install. That is why this
//! file is called `mod.rs`: both find the others beside it.

mod batch;
mod block;
pub(crate) mod cap;
mod compress;
mod disk;
mod edit;
mod filter;
mod frame;
mod hint;
mod identity;
mod index;
mod input;
mod inspect;
mod log;
mod manifest;
mod mend;
mod ops;
mod power;
mod properties;
mod range;
pub(crate) mod replay;
mod segment;
mod store;
mod stores;
mod table;
mod text;
mod trace;
mod wal;

/// One thing that is fuzzed.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name: that of its corpus's folder too.
    pub(crate) name: &'static str,
    /// What it is given to.
    body: fn(&[u8]),
    /// Inputs to begin with, made from what the engines write.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of the longest input.
    pub(crate) max_len: usize,
    /// Bytes that one request for memory may have beside those of the input.
    room: usize,
    /// Whether it unpacks what Zstandard has packed: that may be large, and is.
    unpacks: bool,
    /// How much longer a run takes than one of a decoder: a short fuzz makes so many times fewer.
    pub(crate) cost: u64,
}

/// What serde makes ready at most for a sequence whose length it does not know to be right.
const SERDE: usize = 1 << 20;

/// One MiB, as all engines need it, for the buffer of a table that is written.
const BUFFER: usize = 2 << 20;

/// What a frame of Zstandard begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A target that is quick and needs next to no memory.
pub(crate) const fn decoder(name: &'static str, body: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, body, seeds, max_len: 1024, room: 64 << 10, unpacks: false, cost: 1 }
}

macro_rules! targets {
    ($($name:ident = $target:expr;)*) => {
        $(pub(crate) static $name: Target = $target;)*

        /// Every target.
        pub(crate) static ALL: &[&Target] = &[$(&$name),*];
    };
}

// Each stands for itself, so that the program that fuzzes one of them has the code of no other in it.
targets! {
    FRAME = decoder("frame", frame::run, frame::seeds);
    LOG = Target { cost: 4, ..decoder("log", log::run, log::seeds) };
    EDIT = Target { room: SERDE, ..decoder("edit", edit::run, edit::seeds) };
    MANIFEST = Target { room: SERDE, cost: 8, max_len: 2048, ..decoder("manifest", manifest::run, manifest::seeds) };
    IDENTITY = decoder("identity", identity::run, identity::seeds);
    BATCH = decoder("batch", batch::run, batch::seeds);
    WAL_BATCH = decoder("wal_batch", batch::logged, batch::logged_seeds);
    WAL = Target { cost: 4, ..decoder("wal", wal::run, wal::seeds) };
    SEGMENT = Target { cost: 4, ..decoder("segment", segment::run, segment::seeds) };
    HINT = Target { cost: 8, ..decoder("hint", hint::run, hint::seeds) };
    PROPERTIES = Target { room: SERDE, ..decoder("properties", properties::run, properties::seeds) };
    BLOCK = decoder("block", block::run, block::seeds);
    INDEX = decoder("index", index::run, index::seeds);
    FILTER = decoder("filter", filter::run, filter::seeds);
    COMPRESS = Target { room: 512 << 10, unpacks: true, ..decoder("compress", compress::run, compress::seeds) };
    TABLE = Target { room: BUFFER, unpacks: true, cost: 20, max_len: 8192, ..decoder("table", table::run, table::seeds) };
    TRACE = decoder("trace", trace::run, trace::seeds);
    TEXT = Target { max_len: 64, ..decoder("text", text::run, text::seeds) };
    RANGE = decoder("range", range::run, range::seeds);
    INSPECT = Target { room: BUFFER, unpacks: true, cost: 100, max_len: 2048, ..decoder("inspect", inspect::run, inspect::seeds) };
    STORE = Target { room: BUFFER, unpacks: true, cost: 200, max_len: 2048, ..decoder("store", store::run, store::seeds) };
    OPS = Target { room: 64 << 20, cost: 400, max_len: 512, ..decoder("ops", ops::run, ops::seeds) };
}

impl Target {
    /// The target of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Target> {
        ALL.iter().copied().find(|target| target.name == name)
    }

    /// Gives it an input. A request for too much memory ends the process.
    pub(crate) fn run(&self, data: &[u8]) {
        // Only those look for it: a comparison for each byte is what a fuzzer spends its time on.
        let has_zstd = self.unpacks && data.windows(ZSTD.len()).any(|bytes| bytes == ZSTD);
        let unpacked = if has_zstd { data.len() * (32 << 10) } else { 0 };
        cap::within(data.len() + self.room + unpacked, self.name, || (self.body)(data));
    }
}
