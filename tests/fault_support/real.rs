//! Images on the real disk.

#![allow(dead_code, reason = "what one test file leaves unused, another uses")]

use kvs::vfs::memory::image::Image;
use kvs::vfs::os::OsDisk;
use kvs::vfs::{Cause, Vfs};
use std::path::Path;

/// Writes an image's files below `root`.
pub(crate) fn write(image: &Image, root: &Path) {
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap());
    for dir in &image.dirs {
        OsDisk.create_dir(&below(dir)).unwrap();
    }
    for (path, content) in &image.files {
        OsDisk.create(&below(path), Cause::Log).unwrap().append(content).unwrap();
    }
}
