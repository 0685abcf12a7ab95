//! What a store must hold: now, and after each change before.

use crate::engine::KvsRead;
use crate::engine::range::KeyRange;
use crate::engine::value::Value;
use crate::error::Result;
use crate::survive::step::Member;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::Xxh3;

/// Pairs, in the order of their keys.
pub type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a store must hold. Changes are counted from 1; of what it held before the present only a hash is
/// kept.
#[derive(Clone, Debug)]
pub struct Model {
    map: Map,
    /// The hash of the map after so many changes.
    prefixes: Vec<u128>,
}

impl Default for Model {
    fn default() -> Model {
        Model::holding(Map::new())
    }
}

impl Model {
    fn holding(map: Map) -> Model {
        Model { prefixes: vec![hash_of(&map)], map }
    }

    /// What a store holds, as change number 0.
    ///
    /// # Errors
    /// What reading it can fail with.
    pub fn of(store: &dyn KvsRead) -> Result<Model> {
        contents(store).map(Model::holding)
    }

    /// What a store holds that was made with changes of which these are the hashes, and has `count` of
    /// them.
    ///
    /// # Errors
    /// What reading it can fail with.
    pub fn after(store: &dyn KvsRead, prefixes: &[u128], count: u64) -> Result<Model> {
        Ok(Model { map: contents(store)?, prefixes: prefixes[..=count as usize].to_vec() })
    }

    /// What it must hold now.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// How many changes there were.
    pub fn count(&self) -> u64 {
        self.prefixes.len() as u64 - 1
    }

    /// The hash of what it holds.
    pub fn hash(&self) -> u128 {
        self.prefixes[self.prefixes.len() - 1]
    }

    /// The hash of what it held after so many changes, for each number from 0.
    pub fn into_prefixes(self) -> Vec<u128> {
        self.prefixes
    }

    /// One more change; returns its number.
    pub fn apply(&mut self, members: &[Member]) -> u64 {
        for (key, value) in members {
            match value {
                Some(value) => drop(self.map.insert(key.clone(), value.clone())),
                None => drop(self.map.remove(key)),
            }
        }
        self.prefixes.push(hash_of(&self.map));
        self.count()
    }
}

/// Everything in a store. Allocates all of it.
///
/// # Errors
/// What reading it can fail with.
pub fn contents(store: &dyn KvsRead) -> Result<Map> {
    let pair = |(key, value): (Value, Value)| (key.to_vec(), value.to_vec());
    store.scan(KeyRange::all())?.map(|found| found.map(pair)).collect()
}

/// The hash of these contents.
pub fn hash_of(map: &Map) -> u128 {
    let mut digest = Xxh3::new();
    map.iter().for_each(|(key, value)| put_pair(&mut digest, key, value));
    digest.digest128()
}

/// Adds a pair to the hash of a store's contents; pairs come in the order of their keys.
pub fn put_pair(digest: &mut Xxh3, key: &[u8], value: &[u8]) {
    digest.update(&(key.len() as u64).to_le_bytes());
    digest.update(key);
    digest.update(&(value.len() as u64).to_le_bytes());
    digest.update(value);
}

/// The hash of a store's contents, to which more can be added. Allocates one key.
///
/// # Errors
/// What reading it can fail with.
pub fn digest(store: &dyn KvsRead) -> Result<Xxh3> {
    let mut digest = Xxh3::new();
    let mut cursor = store.cursor(KeyRange::all())?;
    cursor.seek_to_first()?;
    let mut key = Vec::new();
    while cursor.valid() {
        key.clear();
        key.extend_from_slice(cursor.key());
        put_pair(&mut digest, &key, cursor.value()?);
        cursor.next()?;
    }
    Ok(digest)
}
