//! Looking at a damaged file: every view of it, and of the directory that it is in.

use super::disk;
use super::input::Input;
use super::stores::{self, Small};
use kvs::inspect::{View, inspect};
use std::path::Path;
use std::sync::Arc;

const VIEWS: [View; 5] = [View::Summary, View::Explain, View::Layout, View::Entries, View::Props];

/// `choice:u8 file:u8 bytes`: a store in which one file has these bytes. Damage is shown and is no failure,
/// and the same bytes give the same text.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let small = stores::small(usize::from(choice & 1));
    let path = &small.files[input.below(small.files.len())];
    let view = VIEWS[usize::from(choice >> 2 & 7) % VIEWS.len()];
    let bytes = changed(small, path, choice & 2 == 2, input.rest());
    let mut image = small.image.clone();
    image.put(path, bytes);
    let text = look(&image, path, view);
    if choice >> 5 & 1 == 1 {
        assert_eq!(look(&image, path, view), text);
    }
    if choice >> 6 & 1 == 1 {
        let _ = look(&image, Path::new(disk::DB), view);
    }
}

/// The bytes that take the place of a file's own.
pub(crate) fn changed(small: &Small, path: &Path, is_mended: bool, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if is_mended {
        stores::mend(path, small.image.get(path).unwrap_or_default(), &mut bytes);
    }
    bytes
}

fn look(image: &kvs::vfs::memory::image::Image, path: &Path, view: View) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    inspect(Arc::new(disk::of(image)), path, view, &mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Every file of both stores, as it is.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for engine in 0..2u8 {
        let small = stores::small(usize::from(engine));
        for (i, path) in small.files.iter().enumerate() {
            let bytes = small.image.get(path).unwrap_or_default();
            for view in 0..VIEWS.len() as u8 {
                seeds.push([&[engine | 2 | view << 2 | (i as u8 & 3) << 5, i as u8], bytes].concat());
            }
        }
    }
    seeds
}
