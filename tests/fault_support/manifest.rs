//! Manifests that say what an engine never would.

use crate::fault_support::engine::disk_of;
use crate::fault_support::store::{DIR, STORE_ID};
use kvs::engine::manifest::{self, Manifest};
use kvs::vfs::dir::Dir;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Where it is.
pub(crate) const MANIFEST: &str = "/db/MANIFEST";

/// Gives an image a manifest with one edit, which says what the old one did, changed.
pub(crate) fn replace_manifest<F: Serialize + DeserializeOwned + Clone>(
    image: &mut Image,
    store_id: u64,
    change: impl FnOnce(&mut BTreeMap<u64, F>),
) {
    let before = Dir::new(disk_of(image), Path::new(DIR));
    let mut live = manifest::read::<F>(&before, STORE_ID).unwrap().files.live;
    change(&mut live);
    let disk = SimDisk::from_image(image, Record::Off);
    let dir = Dir::new(Arc::new(disk.clone()), Path::new(DIR));
    Manifest::create(&dir, store_id, live.into_iter().collect()).unwrap();
    image.put(MANIFEST, disk.image().get(MANIFEST).unwrap());
}
