//! The stores: which there are, which are built in, and how each is opened.

mod engine;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sled")]
mod sled;

use crate::peer::{Peer, Terms};
use kvs::bench::error::{Error, Result};
use kvs::engine::kind::EngineKind;
#[cfg(any(feature = "fjall", feature = "lmdb", feature = "redb", feature = "sled"))]
use kvs::engine::range::Direction;
#[cfg(any(feature = "fjall", feature = "lmdb", feature = "redb", feature = "sled"))]
use std::ops::Bound;
use std::path::Path;

/// A store that can be run.
#[derive(Clone, Copy)]
pub struct Store {
    /// Its name, as on the command line; that of its feature, if it is no engine of kvs.
    pub name: &'static str,
    /// The version that is built in.
    pub version: fn() -> String,
    /// Opens a new store in a directory that is there, and empty.
    pub open: fn(&Path, &Terms) -> Result<Box<dyn Peer>>,
}

/// The engines of kvs.
pub const OWN: [&str; 2] = ["lsm", "bitcask"];

/// The other stores, each with a feature of its name.
pub const PEERS: [&str; 6] = ["rocksdb", "fjall", "leveldb", "redb", "sled", "lmdb"];

/// Stores whose durable writes may not be: sled, on Linux, has the system write its log by
/// `sync_file_range`, which writes no metadata and empties no cache of the device. They are shown, and not
/// compared with.
pub const NOT_DURABLE: [&str; 1] = ["sled"];

impl Store {
    /// Those that are built in, kvs's own first.
    pub fn all() -> Vec<Store> {
        let own = || env!("CARGO_PKG_VERSION").to_string();
        vec![
            Store { name: "lsm", version: own, open: |dir, terms| engine::open(EngineKind::Lsm, dir, terms) },
            Store {
                name: "bitcask",
                version: own,
                open: |dir, terms| engine::open(EngineKind::Bitcask, dir, terms),
            },
            #[cfg(feature = "rocksdb")]
            Store { name: "rocksdb", version: || locked("librocksdb-sys"), open: rocksdb::open },
            #[cfg(feature = "fjall")]
            Store { name: "fjall", version: || locked("fjall"), open: fjall::open },
            #[cfg(feature = "leveldb")]
            Store { name: "leveldb", version: leveldb::version, open: leveldb::open },
            #[cfg(feature = "redb")]
            Store { name: "redb", version: || locked("redb"), open: redb::open },
            #[cfg(feature = "sled")]
            Store { name: "sled", version: || locked("sled"), open: sled::open },
            #[cfg(feature = "lmdb")]
            Store { name: "lmdb", version: lmdb::version, open: lmdb::open },
        ]
    }

    /// The store with a name; says how to build it in, if it is not.
    pub fn named(name: &str) -> Result<Store> {
        if let Some(store) = Store::all().into_iter().find(|store| store.name == name) {
            return Ok(store);
        }
        Err(Error::plan(match PEERS.contains(&name) {
            true => format!("{name} is not built in: build with `--features {name}`, or `--features all`"),
            false => format!("{name}: no such store; there are {}, {}", OWN.join(", "), PEERS.join(", ")),
        }))
    }
}

/// A store failed.
#[cfg(any(
    feature = "fjall",
    feature = "leveldb",
    feature = "lmdb",
    feature = "redb",
    feature = "rocksdb",
    feature = "sled"
))]
fn failed(store: &'static str, reason: impl ToString) -> Error {
    Error::Peer { store, reason: reason.to_string() }
}

/// Where a scan goes: up from `from`, or down from below it.
#[cfg(any(feature = "fjall", feature = "lmdb", feature = "redb", feature = "sled"))]
fn bounds(from: Option<&[u8]>, direction: Direction) -> (Bound<&[u8]>, Bound<&[u8]>) {
    match (from, direction) {
        (Some(from), Direction::Forward) => (Bound::Included(from), Bound::Unbounded),
        (Some(from), Direction::Reverse) => (Bound::Unbounded, Bound::Excluded(from)),
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
    }
}

/// Shows up to `limit` pairs of an iterator. Returns how many.
#[cfg(any(feature = "fjall", feature = "lmdb", feature = "sled"))]
fn show<K: AsRef<[u8]>, V: AsRef<[u8]>, E: ToString>(
    store: &'static str,
    mut pairs: impl Iterator<Item = std::result::Result<(K, V), E>>,
    limit: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<u64> {
    let mut count = 0;
    while count < limit {
        let Some(pair) = pairs.next() else { break };
        let (key, value) = pair.map_err(|error| failed(store, error))?;
        see(key.as_ref(), value.as_ref());
        count += 1;
    }
    Ok(count)
}

/// The version of a crate in the lock file; of one that brings sources of another version, theirs.
#[cfg(any(feature = "fjall", feature = "redb", feature = "rocksdb", feature = "sled", test))]
fn locked(name: &str) -> String {
    let mut lines = include_str!("../Cargo.lock").lines();
    let found = lines.find(|line| *line == format!("name = \"{name}\""));
    let version = found.and_then(|_| lines.next()?.strip_prefix("version = \""));
    let version = version.map_or("unknown", |version| version.trim_end_matches('"'));
    version.rsplit('+').next().unwrap_or(version).to_string()
}

#[cfg(test)]
mod tests {
    use super::{OWN, PEERS, Store, locked};

    #[test]
    fn stores_are_found_by_name_or_said_to_be_missing() {
        for name in OWN.iter().chain(&PEERS) {
            match Store::named(name) {
                Ok(store) => assert!(&store.name == name && (store.version)() != "unknown"),
                Err(error) => assert!(error.to_string().contains(&format!("`--features {name}`")), "{error}"),
            }
        }
        assert!(Store::named("mysql").err().unwrap().to_string().contains("fjall"));
        assert_eq!(Store::all().iter().filter(|store| OWN.contains(&store.name)).count(), 2);
    }

    #[test]
    fn the_lock_file_says_the_version() {
        assert_eq!(locked("peers"), env!("CARGO_PKG_VERSION"));
        assert_eq!(locked("no-such-crate"), "unknown");
    }
}
