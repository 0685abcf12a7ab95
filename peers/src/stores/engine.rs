//! The engines of kvs, with the same terms as everybody else, and without the laboratory's own meters.

use crate::peer::{Peer, Terms};
use kvs::bench::error::Result;
use kvs::engine::kind::EngineKind;
use kvs::engine::range::Direction;
use kvs::{Cursor, KeyRange};
use kvs::{KvsEngine, OpenOptions, WriteBatch, WriteOptions};
use std::path::Path;
use std::sync::Arc;

struct Engine(Arc<dyn KvsEngine>);

/// The settings of an engine under these terms. Bitcask has none of the three: no buffer, no cache but the
/// page cache, and a hash table in place of filters.
fn settings(kind: EngineKind, terms: &Terms) -> Vec<(String, String)> {
    let settings = match kind {
        EngineKind::Lsm => vec![
            ("memtable_bytes", terms.buffer_bytes.to_string()),
            ("cache_bytes", terms.cache_bytes.to_string()),
            ("filter_bits", terms.filter_bits.to_string()),
            ("compression", "none".to_string()),
        ],
        EngineKind::Bitcask | EngineKind::Memory => Vec::new(),
    };
    settings.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

pub(super) fn open(kind: EngineKind, dir: &Path, terms: &Terms) -> Result<Box<dyn Peer>> {
    let engine = kind.open(dir, OpenOptions::default(), &settings(kind, terms))?;
    Ok(Box::new(Engine(engine)))
}

impl Peer for Engine {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let options = if is_durable { WriteOptions::durable() } else { WriteOptions::default() };
        Ok(self.0.write(batch, &options)?)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.0.get(key)?.map(|value| see(&value)).is_some())
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        let range = match (from, direction) {
            (Some(from), Direction::Forward) => KeyRange::of(from..),
            (Some(from), Direction::Reverse) => KeyRange::of(..from),
            (None, _) => KeyRange::all(),
        };
        let mut cursor = self.0.cursor(range)?;
        let (mut key, mut count) = (Vec::new(), 0);
        while count < limit && advance(cursor.as_mut(), direction, count == 0)? {
            key.clear();
            key.extend_from_slice(cursor.key());
            see(&key, cursor.value()?);
            count += 1;
        }
        Ok(count)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.0.settle()?)
    }

    fn compact(&self) -> Result<()> {
        Ok(self.0.compact()?)
    }
}

/// Moves on, or to the first; says whether there is a pair.
fn advance(cursor: &mut dyn Cursor, direction: Direction, is_first: bool) -> Result<bool> {
    match (direction, is_first) {
        (Direction::Forward, true) => cursor.seek_to_first()?,
        (Direction::Forward, false) => cursor.next()?,
        (Direction::Reverse, true) => cursor.seek_to_last()?,
        (Direction::Reverse, false) => cursor.prev()?,
    }
    Ok(cursor.valid())
}
