//! What a disk holds at one moment, as a plain value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use xxhash_rust::xxh3::xxh3_128;

/// The bytes of one file. Clones share them until one is written to; the hash is computed once.
#[derive(Clone, Default)]
pub struct Content(Arc<Shared>);

#[derive(Clone, Default)]
struct Shared {
    bytes: Vec<u8>,
    hash: OnceLock<u128>,
}

impl Content {
    /// The bytes, to be changed; copied first if a clone shares them.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        let shared = Arc::make_mut(&mut self.0);
        shared.hash.take();
        &mut shared.bytes
    }

    /// A hash of the bytes, the same on every machine.
    pub fn hash(&self) -> u128 {
        *self.0.hash.get_or_init(|| xxh3_128(&self.0.bytes))
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content(Arc::new(Shared { bytes, hash: OnceLock::new() }))
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self[..] == other[..]
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        write!(f, "{} bytes \"{}", self.len(), self[..self.len().min(SHOWN)].escape_ascii())?;
        f.write_str(if self.len() > SHOWN { "\"..." } else { "\"" })
    }
}

/// What a disk holds at one moment: directories, and files with their bytes.
///
/// A plain value: clone it, compare it, damage it, and make a disk of it again with
/// [`SimDisk::from_image`](crate::vfs::memory::SimDisk::from_image). The roots (`/`, and the
/// working directory) are always there and are not listed.
///
/// The methods that damage panic when there is nothing to damage: a test that flips a bit nowhere
/// proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Every directory but the roots.
    pub dirs: BTreeSet<Arc<Path>>,
    /// Every file, by path.
    pub files: BTreeMap<Arc<Path>, Content>,
}

impl Image {
    /// A hash of all names and bytes, the same on every machine.
    pub fn hash(&self) -> u128 {
        let mut all = Vec::with_capacity(64 * (self.dirs.len() + self.files.len()));
        for dir in &self.dirs {
            all.extend_from_slice(dir.as_os_str().as_encoded_bytes());
            all.push(0);
        }
        all.push(1);
        for (path, content) in &self.files {
            all.extend_from_slice(path.as_os_str().as_encoded_bytes());
            all.push(0);
            all.extend_from_slice(&content.hash().to_le_bytes());
        }
        xxh3_128(&all)
    }

    /// The bytes of a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        self.files.get(path.as_ref()).map(|content| &content[..])
    }

    /// Puts a file there, or other bytes into one.
    pub fn put(&mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.as_ref().into(), Content::from(bytes.into()));
    }

    /// The bytes of a file, to be changed.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn edit(&mut self, path: impl AsRef<Path>) -> &mut Vec<u8> {
        let path = path.as_ref();
        match self.files.get_mut(path) {
            Some(content) => content.make_mut(),
            None => panic!("{}: no such file in the image", path.display()),
        }
    }

    /// Turns one bit of a file over; bit 8 is the lowest of the second byte.
    ///
    /// # Panics
    /// If there is no such file or bit.
    pub fn flip_bit(&mut self, path: impl AsRef<Path>, bit: u64) {
        self.edit(path)[(bit / 8) as usize] ^= 1 << (bit % 8);
    }

    /// Cuts a file to `len` bytes.
    ///
    /// # Panics
    /// If there is no such file, or it is shorter.
    pub fn cut(&mut self, path: impl AsRef<Path>, len: usize) {
        let bytes = self.edit(path);
        assert!(len <= bytes.len(), "{len} is more than the {} bytes of the file", bytes.len());
        bytes.truncate(len);
    }

    /// Takes a file away.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn remove(&mut self, path: impl AsRef<Path>) -> Content {
        let path = path.as_ref();
        match self.files.remove(path) {
            Some(content) => content,
            None => panic!("{}: no such file in the image", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn equal_images_have_equal_hashes_and_damage_changes_them() {
        let mut image = Image::default();
        image.put("/a", *b"alpha");
        image.put("/b", *b"");
        let whole = image.clone();
        assert_eq!(whole.hash(), image.hash());
        image.flip_bit("/a", 9);
        assert_eq!(image.get("/a"), Some(&b"anpha"[..]));
        assert_eq!(whole.get("/a"), Some(&b"alpha"[..]), "clones share bytes, not changes");
        assert_ne!(whole.hash(), image.hash());
        image.flip_bit("/a", 9);
        assert_eq!((image.hash(), &image), (whole.hash(), &whole));
        image.cut("/a", 4);
        assert_ne!(whole.hash(), image.hash());
        image.put("/a", *b"alpha");
        image.remove("/b");
        assert_ne!(whole.hash(), image.hash(), "an empty file is not no file");
        image.dirs.insert(std::path::Path::new("/b").into());
        assert_ne!(whole.hash(), image.hash(), "and not a directory");
    }
}
