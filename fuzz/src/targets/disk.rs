//! Simulated disks for one input: a directory with the files that it needs.

use kvs::engine::KvsRead;
use kvs::engine::range::KeyRange;
use kvs::error::Result;
use kvs::vfs::dir::Dir;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use std::path::Path;
use std::sync::Arc;

/// The id of every store here: checksums hang on it.
pub(crate) const STORE: u64 = 0x5eed;

/// Where stores are.
pub(crate) const DB: &str = "/db";

/// Pairs, in the order of their keys.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A disk that holds this and records nothing.
pub(crate) fn of(image: &Image) -> SimDisk {
    SimDisk::from_image(image, Record::Off)
}

/// A directory with one file.
pub(crate) fn with(name: &str, bytes: &[u8]) -> Dir {
    let mut image = Image::default();
    image.dirs.insert(Path::new(DB).into());
    image.put(Path::new(DB).join(name), bytes);
    Dir::new(Arc::new(of(&image)), Path::new(DB))
}

/// The pairs of a range, in its direction.
pub(crate) fn pairs(store: &(impl KvsRead + ?Sized), range: KeyRange) -> Result<Pairs> {
    store.scan(range)?.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}
