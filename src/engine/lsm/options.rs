//! The LSM tree's own options.

use crate::engine::lsm::comparator::Order;
use crate::engine::options::{OptionInfo, read_bytes, read_option};
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The engine's name, in the identity file and in reports.
pub const NAME: &str = "lsm";

/// The most levels, level 0 included.
pub const LEVELS: usize = 7;

/// How the blocks of a table are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: a block is read as it lies.
    None,
    /// LZ4: about half the size for text, some 2 GB/s to read.
    Lz4,
    /// Zstandard at its fast levels: smaller than LZ4, a third of its speed.
    Zstd,
}

impl Compression {
    /// The name, as in the option.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Compression> {
        let all = [Compression::None, Compression::Lz4, Compression::Zstd];
        let found = all.into_iter().find(|compression| compression.name() == name);
        found.ok_or_else(|| Error::invalid(format!("compression {name}: none, lz4 or zstd")))
    }
}

/// How each level is compressed: one for every level, or one a level, the last for all below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressions(pub Vec<Compression>);

impl Compressions {
    /// That of a level.
    pub fn of(&self, level: u8) -> Compression {
        let last = self.0.len().saturating_sub(1);
        self.0.get(usize::from(level).min(last)).copied().unwrap_or(Compression::None)
    }
}

impl FromStr for Compressions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Compressions> {
        let levels = text.split(',').map(|name| name.trim().parse()).collect::<Result<Vec<_>>>()?;
        match levels.len() {
            1..=LEVELS => Ok(Compressions(levels)),
            n => Err(Error::invalid(format!("compression={text}: {n} levels; there are {LEVELS}"))),
        }
    }
}

impl fmt::Display for Compressions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|compression| compression.name()).collect();
        f.write_str(&names.join(","))
    }
}

/// How an LSM tree lays out its files, and when it moves them.
#[derive(Clone, Debug, PartialEq)]
pub struct LsmOptions {
    /// A memtable is sealed when it has this many bytes, and flushed. Larger: fewer and larger tables
    /// in level 0, less write amplification, more memory and more to read after a crash. 4 KiB to
    /// 1 GiB.
    pub memtable_bytes: u64,
    /// The most sealed memtables that wait to be flushed; a writer who would seal one more waits. Each
    /// costs `memtable_bytes` of memory. 1 to 16.
    pub sealed_memtables: usize,
    /// Bytes of blocks that are kept in memory. 0: none.
    pub cache_bytes: u64,
    /// Bytes of keys and values in one block, before compression: what a get reads. 256 to 1 MiB.
    pub block_bytes: u64,
    /// Every so many entries of a block, a key is stored whole. 1 to 256.
    pub restart_interval: usize,
    /// Bits of a Bloom filter for each key; 0: no filters. 10 bits: one read in a hundred for a key
    /// that is not there. With an order of the user's own there are none: a filter knows keys by their
    /// bytes, and such an order may hold different bytes for one key.
    pub filter_bits: usize,
    /// How each level is compressed.
    pub compression: Compressions,
    /// A compaction begins another table when one has this many bytes. 1 KiB to 1 GiB.
    pub table_bytes: u64,
    /// Level 0 is compacted when it has this many tables, or `level_bytes` bytes.
    pub level0_tables: usize,
    /// Writers are slowed down when level 0 has this many.
    pub level0_slowdown: usize,
    /// A writer who would seal a memtable waits while level 0 has this many.
    pub level0_stop: usize,
    /// The level that level 0 is compacted into is let grow to this many bytes at least.
    pub level_bytes: u64,
    /// Each level is so many times as large as the one above it. Write amplification tends to this for
    /// each level, space to `1 + 1 / level_factor`. 2 to 100.
    pub level_factor: u64,
    /// Compactions that run at a time. 1 to 16.
    pub compaction_jobs: usize,
    /// The most tables that are held open. Each costs a file descriptor, and memory for its index and
    /// filter: about 2 % of it. Fewer, where the process may open fewer:
    /// [`limits::open_files`](crate::vfs::limits::open_files).
    pub max_open_tables: usize,
    /// Whether tables are read through memory maps: a block that is not cached is then read without a
    /// system call, but counts as memory of the process.
    pub mmap: bool,
    /// The order of the keys, chosen when the store is made; `None`: the one that it was made with, and the
    /// order of bytes for a new one.
    pub comparator: Option<Order>,
}

/// What an order is called that is the one of the store.
const KEPT: &str = "kept";

/// The order of this name; none, if it is the store's.
fn order(name: &str) -> Result<Option<Order>> {
    match name {
        KEPT => Ok(None),
        name => name.parse().map(Some),
    }
}

impl Default for LsmOptions {
    fn default() -> LsmOptions {
        LsmOptions {
            memtable_bytes: 64 << 20,
            sealed_memtables: 2,
            cache_bytes: 64 << 20,
            block_bytes: 4 << 10,
            restart_interval: 16,
            filter_bits: 10,
            compression: Compressions(vec![Compression::None, Compression::None, Compression::Lz4]),
            table_bytes: 32 << 20,
            level0_tables: 4,
            level0_slowdown: 12,
            level0_stop: 20,
            level_bytes: 256 << 20,
            level_factor: 10,
            compaction_jobs: 2,
            max_open_tables: 512,
            mmap: false,
            comparator: None,
        }
    }
}

impl LsmOptions {
    /// The order of the keys; that of bytes, if none was chosen.
    pub fn order(&self) -> Order {
        self.comparator.clone().unwrap_or(Order::Bytewise)
    }

    /// Everything small, so that a short test flushes, compacts through several levels, and closes
    /// tables that it still reads.
    pub fn tiny() -> LsmOptions {
        LsmOptions {
            memtable_bytes: 4 << 10,
            cache_bytes: 8 << 10,
            block_bytes: 256,
            restart_interval: 3,
            table_bytes: 2 << 10,
            level0_tables: 2,
            level0_slowdown: 6,
            level0_stop: 8,
            level_bytes: 8 << 10,
            level_factor: 3,
            max_open_tables: 4,
            ..LsmOptions::default()
        }
    }

    /// Whether every option is in its range; names the one that is not.
    pub fn validate(&self) -> Result<()> {
        fn within(name: &str, value: u64, min: u64, max: u64) -> Result<()> {
            match (min..=max).contains(&value) {
                true => Ok(()),
                false => Err(Error::invalid(format!("{name}={value}: {min} to {max}"))),
            }
        }
        within("memtable_bytes", self.memtable_bytes, 4 << 10, 1 << 30)?;
        within("sealed_memtables", self.sealed_memtables as u64, 1, 16)?;
        within("cache_bytes", self.cache_bytes, 0, 1 << 40)?;
        within("block_bytes", self.block_bytes, 256, 1 << 20)?;
        within("restart_interval", self.restart_interval as u64, 1, 256)?;
        within("filter_bits", self.filter_bits as u64, 0, 64)?;
        within("table_bytes", self.table_bytes, 1 << 10, 1 << 30)?;
        within("level0_tables", self.level0_tables as u64, 1, 100)?;
        within("level0_slowdown", self.level0_slowdown as u64, self.level0_tables as u64, 1000)?;
        within("level0_stop", self.level0_stop as u64, self.level0_slowdown as u64, 1000)?;
        within("level_bytes", self.level_bytes, 1 << 10, 1 << 40)?;
        within("level_factor", self.level_factor, 2, 100)?;
        within("compaction_jobs", self.compaction_jobs as u64, 1, 16)?;
        within("max_open_tables", self.max_open_tables as u64, 1, 1 << 20)
    }

    /// Sets one option by its name, from text. Ranges are checked by [`LsmOptions::validate`], when
    /// all are set: some depend on each other.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let number = |name| read_option::<usize>(name, value, "a whole number");
        match name {
            "memtable_bytes" | "memtable" => self.memtable_bytes = read_bytes(name, value)?,
            "sealed_memtables" => self.sealed_memtables = number(name)?,
            "cache_bytes" | "cache" => self.cache_bytes = read_bytes(name, value)?,
            "block_bytes" => self.block_bytes = read_bytes(name, value)?,
            "restart_interval" => self.restart_interval = number(name)?,
            "filter_bits" => self.filter_bits = number(name)?,
            "compression" => self.compression = value.parse()?,
            "table_bytes" => self.table_bytes = read_bytes(name, value)?,
            "level0_tables" => self.level0_tables = number(name)?,
            "level0_slowdown" => self.level0_slowdown = number(name)?,
            "level0_stop" => self.level0_stop = number(name)?,
            "level_bytes" => self.level_bytes = read_bytes(name, value)?,
            "level_factor" => self.level_factor = number(name)? as u64,
            "compaction_jobs" => self.compaction_jobs = number(name)?,
            "max_open_tables" => self.max_open_tables = number(name)?,
            "mmap" => self.mmap = read_option(name, value, "true or false")?,
            "comparator" => self.comparator = order(value)?,
            _ => {
                let names: Vec<_> = LsmOptions::list().iter().map(|option| option.name).collect();
                let names = names.join(", ");
                return Err(Error::invalid(format!("{name}: no option of lsm; there are {names}")));
            }
        }
        Ok(())
    }

    /// All options, with their defaults and costs.
    pub fn list() -> Vec<OptionInfo> {
        let d = LsmOptions::default();
        let option = |name, default: String, about| OptionInfo { name, default, about };
        let bytes = |n: u64| if n >= 1 << 20 { format!("{}MiB", n >> 20) } else { format!("{}KiB", n >> 10) };
        vec![
            option(
                "memtable_bytes",
                bytes(d.memtable_bytes),
                "a memtable is sealed and flushed at this size; larger: less write amplification, more memory, \
                 more to read after a crash (also: memtable)",
            ),
            option(
                "sealed_memtables",
                d.sealed_memtables.to_string(),
                "sealed memtables that may wait for their flush; then writers wait",
            ),
            option("cache_bytes", bytes(d.cache_bytes), "memory for blocks that were read (also: cache)"),
            option(
                "block_bytes",
                bytes(d.block_bytes),
                "what a get reads; larger: smaller index, better compression, more bytes a get",
            ),
            option(
                "restart_interval",
                d.restart_interval.to_string(),
                "every so many entries of a block a key is stored whole; larger: smaller, slower to search",
            ),
            option(
                "filter_bits",
                d.filter_bits.to_string(),
                "bits of Bloom filter a key; 10: a miss reads a block once in a hundred; 0: no filters",
            ),
            option(
                "compression",
                d.compression.to_string(),
                "none, lz4 or zstd for each level from level 0 on, the last for all below",
            ),
            option(
                "table_bytes",
                bytes(d.table_bytes),
                "the size at which a compaction begins another table",
            ),
            option(
                "level0_tables",
                d.level0_tables.to_string(),
                "tables in level 0 at which it is compacted, or `level_bytes` bytes",
            ),
            option(
                "level0_slowdown",
                d.level0_slowdown.to_string(),
                "tables in level 0 that slow writers down",
            ),
            option("level0_stop", d.level0_stop.to_string(), "tables in level 0 that make writers wait"),
            option(
                "level_bytes",
                bytes(d.level_bytes),
                "what the first level below level 0 may hold at least",
            ),
            option(
                "level_factor",
                d.level_factor.to_string(),
                "how many times larger each level is than the one above; larger: fewer levels to read, more to \
                 rewrite",
            ),
            option("compaction_jobs", d.compaction_jobs.to_string(), "compactions that run at a time"),
            option(
                "max_open_tables",
                d.max_open_tables.to_string(),
                "tables held open; never more than half of the files that the process may open, less 24; each costs a \
                 file descriptor, and memory for its index and filter",
            ),
            option(
                "mmap",
                d.mmap.to_string(),
                "read tables through memory maps: no system call a block, but the pages count as memory",
            ),
            option(
                "comparator",
                KEPT.to_string(),
                "the order of the keys: bytewise, reverse, or kept, which is that of the store, and bytewise for a new one",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::LsmOptions;

    #[test]
    fn every_listed_option_takes_its_default() {
        let mut options = LsmOptions::default();
        for option in LsmOptions::list() {
            options.set(option.name, &option.default).unwrap();
        }
        assert_eq!(options, LsmOptions::default());
        assert!(options.validate().is_ok() && LsmOptions::tiny().validate().is_ok());
        assert!(options.set("no_such", "1").unwrap_err().to_string().contains("memtable_bytes"));
        options.set("memtable", "1").unwrap();
        assert!(options.validate().unwrap_err().to_string().contains("memtable_bytes=1"));
        assert!(options.set("compression", "none,gzip").is_err());
    }
}
