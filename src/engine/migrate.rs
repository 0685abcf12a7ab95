//! Migrating: a new store, of any engine, with what a store holds.
//!
//! The source is read in the order of the destination's keys, which is its own or the reverse, and loaded into the
//! destination, which is no store before the end:
//!
//! ```text
//!   lock DEST ── clear what a killed migration left ── make a store on a disk that calls its identity
//!   file ENGINE.unfinished ── load, sync, count ── close ── rename to ENGINE, sync DEST ── unlock
//! ```
//!
//! Whatever stops it, DEST holds nothing that passes for a store: opening it fails with
//! [`Error::Unfinished`], and migrating into it again clears it first. An error, and an interruption that
//! `watch` hears of, clear it at once. Of the source not a byte changes.

pub mod unfinished;

use crate::engine::kind::EngineKind;
use crate::engine::migrate::unfinished::build;
use crate::engine::options::{Access, OpenOptions};
use crate::engine::range::KeyRange;
use crate::engine::{Cursor, KvsRead, Pairs};
use crate::error::{Error, Result};
use crate::vfs::Vfs;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Where to, and as what.
#[derive(Debug)]
pub struct Destination<'a> {
    /// The directory: missing, or empty, or what a killed migration left.
    pub path: &'a Path,
    /// The engine of the new store.
    pub engine: EngineKind,
    /// How it is opened; `access` does not count.
    pub options: OpenOptions,
    /// The engine's own options.
    pub settings: &'a [(String, String)],
}

/// How far a migration has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// Pairs.
    pub pairs: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Makes a store at the destination that holds what `source` holds. Reads all of the source, and the keys
/// of the new store once more, to count them. `watch` is told of every pair that is about to be written;
/// an error of it stops everything.
///
/// # Errors
/// [`Error::InvalidArgument`] if the destination is not empty, or the engine keeps nothing;
/// [`Error::Locked`] while another migration fills it; whatever reading and writing can fail with.
pub fn migrate(
    source: &dyn KvsRead,
    dest: &Destination<'_>,
    watch: &mut dyn FnMut(Migrated) -> Result<()>,
) -> Result<Migrated> {
    if dest.engine == EngineKind::Memory {
        return Err(Error::invalid("the memory engine keeps nothing: migrate to another"));
    }
    build(&dest.options.disk, dest.path, |disk| {
        let mut cursor = source.cursor(KeyRange::all())?;
        let is_backward = descends(&mut *cursor)? != dest.engine.is_descending(dest.settings)?;
        let so_far = Migrated::default();
        let mut pairs = Reading { cursor, is_backward, state: State::Before, key: Vec::new(), so_far, watch };
        fill(disk, dest, &mut pairs)?;
        Ok(pairs.so_far)
    })
}

/// Whether the keys stand in descending order of their bytes: the first two say so.
fn descends(cursor: &mut dyn Cursor) -> Result<bool> {
    cursor.seek_to_first()?;
    if !cursor.valid() {
        return Ok(false);
    }
    let first = cursor.key().to_vec();
    cursor.next()?;
    Ok(cursor.valid() && cursor.key() < &first[..])
}

/// Makes the whole store, but for its name.
fn fill(disk: Arc<dyn Vfs>, dest: &Destination<'_>, pairs: &mut Reading<'_>) -> Result<()> {
    let options = OpenOptions { disk, access: Access::Create, ..dest.options.clone() };
    let store = dest.engine.open(dest.path, options, dest.settings)?;
    let written = store.load_sorted(pairs)?;
    store.sync()?;
    let (read, there) = (pairs.so_far.pairs, count(&*store, pairs)?);
    match read == written && read == there {
        true => Ok(()),
        false => {
            let reason = format!("{read} pairs were read, {written} written, and {there} are there");
            Err(Error::corruption(dest.path, 0, reason))
        }
    }
}

/// The pairs of the new store. Asks `watch` on the way, since this may take long too.
fn count(store: &dyn KvsRead, pairs: &mut Reading<'_>) -> Result<u64> {
    let mut cursor = store.cursor(KeyRange::all())?;
    let mut count = 0;
    cursor.seek_to_first()?;
    while cursor.valid() {
        count += 1;
        (pairs.watch)(pairs.so_far)?;
        cursor.next()?;
    }
    Ok(count)
}

/// The pairs of the source, on their way.
struct Reading<'a> {
    cursor: Box<dyn Cursor + 'a>,
    is_backward: bool,
    state: State,
    key: Vec<u8>,
    so_far: Migrated,
    watch: &'a mut dyn FnMut(Migrated) -> Result<()>,
}

/// Where the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    On,
}

impl Pairs for Reading<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match (self.state, self.is_backward) {
            (State::Before, false) => self.cursor.seek_to_first()?,
            (State::Before, true) => self.cursor.seek_to_last()?,
            (State::On, false) => self.cursor.next()?,
            (State::On, true) => self.cursor.prev()?,
        }
        self.state = State::On;
        if !self.cursor.valid() {
            return Ok(None);
        }
        self.key.clear();
        self.key.extend_from_slice(self.cursor.key());
        let value = self.cursor.value()?;
        self.so_far.pairs += 1;
        self.so_far.bytes += (self.key.len() + value.len()) as u64;
        (self.watch)(self.so_far)?;
        Ok(Some((&self.key, value)))
    }
}
