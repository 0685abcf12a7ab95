//! The catalog: which segments are live, durably, and which number comes next.

use crate::engine::bitcask::segment::SegmentMeta;
use crate::engine::health::Health;
use crate::engine::manifest::{Edit, Manifest};
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The manifest of an open store, as rotations and merges share it.
#[derive(Debug)]
pub(super) struct Catalog {
    /// `None` when open for reading only. Locked after the writer, where both are.
    manifest: Mutex<Option<Manifest<SegmentMeta>>>,
    next_number: AtomicU64,
    health: Arc<Health>,
}

impl Catalog {
    /// Goes on with this manifest; numbers from `next_number` on are free.
    pub(super) fn new(
        manifest: Option<Manifest<SegmentMeta>>,
        next_number: u64,
        health: Arc<Health>,
    ) -> Catalog {
        Catalog { manifest: Mutex::new(manifest), next_number: AtomicU64::new(next_number), health }
    }

    /// A number that no file has had.
    pub(super) fn take_number(&self) -> Result<u64> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        match u32::try_from(number) {
            Ok(_) => Ok(number),
            Err(_) => Err(Error::invalid("all four billion segment numbers are used up; export and import")),
        }
    }

    /// Makes an edit durable. A failure poisons the store: what the disk says is unknown.
    pub(super) fn apply(&self, edit: Edit<SegmentMeta>) -> Result<()> {
        match &mut *self.manifest.lock() {
            Some(manifest) => self.health.guard(manifest.apply(edit)),
            None => Err(Error::ReadOnly),
        }
    }

    /// Ends the manifest in an orderly way.
    pub(super) fn close(&self) -> Result<()> {
        self.manifest.lock().as_mut().map_or(Ok(()), Manifest::close)
    }
}
