//! What all tables of a store share: the directory, the order of the keys, the block cache, counters.

use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::options::LsmOptions;
use crate::engine::lsm::table::cache::BlockCache;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Relaxed;
use crate::vfs::dir::Dir;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What all tables of a store share.
#[derive(Debug)]
pub struct Shelf {
    /// Where the files are.
    pub dir: Dir,
    /// The store's identity: part of every checksum, and the seed of the filters' hash.
    pub store_id: u64,
    /// The order of the keys.
    pub order: Order,
    /// Blocks that were read lately.
    pub cache: BlockCache,
    /// Whether files are mapped.
    pub mmap: bool,
    /// What was done.
    pub counters: Counters,
}

/// What was done to tables since the store was opened, as its stats show it. Hits and misses of blocks are
/// counted by the cache.
#[derive(Debug, Default)]
pub struct Counters {
    /// Tables opened.
    pub opens: AtomicU64,
    /// Tables closed to make room for others.
    pub closes: AtomicU64,
    /// Blocks of any kind that were read from files, read-ahead left out.
    pub blocks_read: AtomicU64,
    /// Bytes read from files, as they lie there, read-ahead included.
    pub bytes_read: AtomicU64,
    /// Gets that a filter let pass and that found nothing.
    pub false_positives: AtomicU64,
}

impl Counters {
    /// Counts a block.
    #[inline]
    pub fn count_read(&self, bytes: u64) {
        self.blocks_read.fetch_add(1, Relaxed);
        self.bytes_read.fetch_add(bytes, Relaxed);
    }
}

impl Shelf {
    /// The shelf of the store in `dir`.
    pub fn new(dir: Dir, store_id: u64, options: &LsmOptions) -> Shelf {
        Shelf {
            dir,
            store_id,
            order: options.order(),
            cache: BlockCache::new(options.cache_bytes),
            mmap: options.mmap,
            counters: Counters::default(),
        }
    }

    /// What the filters know a key by. A get computes it once, for all tables.
    #[inline]
    pub fn hash(&self, user_key: &[u8]) -> u64 {
        xxh3_64_with_seed(user_key, self.store_id)
    }
}
