//! The identity file: which engine a directory belongs to, in which format, and its store id.
//!
//! ```text
//! identity := magic[8] version:u32 engine[16] store_id:u64 checksum:u32       40 bytes
//! ```
//!
//! `magic` is `KVSSTORE`; `engine` is the engine's name, filled up with zeros; `checksum` is the
//! CRC-32C of what stands before it. The store id salts every checksum of the store, so that bytes of
//! another store never pass for bytes of this one.
//!
//! It is put in place *last* when a store is made, by an atomic replace: a directory without it holds
//! nothing that was acknowledged, and is simply made again.

use crate::codec::Reader;
use crate::engine::filename;
use crate::error::{Error, Result};
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use std::hash::{BuildHasher, Hasher, RandomState};

/// What an identity file begins with.
pub const MAGIC: &[u8; 8] = b"KVSSTORE";

/// The format that this build reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of the identity file.
pub const IDENTITY_LEN: usize = 40;

/// The most bytes that an identity file of any format has.
const LONGEST: u64 = 4096;

/// Who a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name of the engine that owns the directory.
    pub engine: String,
    /// Drawn at random when the store was made.
    pub store_id: u64,
}

impl Identity {
    /// A new store of `engine`, with a random id if none is given.
    pub fn new(engine: &str, store_id: Option<u64>) -> Identity {
        // The standard library's hasher is keyed from the system's randomness, once a process and
        // counted up from there.
        let store_id = store_id.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Identity { engine: engine.to_string(), store_id }
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut name = [0; 16];
        name[..self.engine.len()].copy_from_slice(self.engine.as_bytes());
        let mut out = Vec::with_capacity(IDENTITY_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&name);
        out.extend_from_slice(&self.store_id.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads the directory's identity file; `None` if there is none. A migration on its way, or one
    /// that was killed, is [`Error::Unfinished`].
    pub fn load(dir: &Dir) -> Result<Option<Identity>> {
        let entries = dir.list()?.unwrap_or_default();
        let has = |name| entries.iter().any(|entry| entry.name == name);
        if !has(filename::ENGINE) {
            return match has(filename::UNFINISHED) {
                true => Err(Error::Unfinished { path: dir.path().to_path_buf() }),
                false => Ok(None),
            };
        }
        let bytes = dir.read(filename::ENGINE, LONGEST, Cause::Recovery)?;
        Identity::decode(&bytes, dir).map(Some)
    }

    fn decode(bytes: &[u8], dir: &Dir) -> Result<Identity> {
        let path = dir.join(filename::ENGINE);
        let damaged = |reason: &str| Error::corruption(&path, 0, reason);
        let mut reader = Reader::new(bytes);
        let magic = reader.take(8);
        let version = reader.u32().ok_or_else(|| damaged("the identity file is cut"))?;
        // A later format begins like this one, and may go on behind it. A version with a flipped bit is
        // told from a later one by the checksum.
        let sum_is_right = bytes
            .get(..IDENTITY_LEN)
            .and_then(<[u8]>::split_last_chunk::<4>)
            .is_some_and(|(head, sum)| crc32c::crc32c(head) == u32::from_le_bytes(*sum));
        let is_too_long = version == FORMAT_VERSION && bytes.len() > IDENTITY_LEN;
        if magic != Some(MAGIC) || !sum_is_right || is_too_long {
            return Err(damaged("not an identity file, or a damaged one"));
        }
        if version != FORMAT_VERSION {
            return Err(Error::UnknownFormat { path, found: version, known: FORMAT_VERSION });
        }
        let name = reader.take(16).unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default().trim_end_matches('\0');
        let store_id = reader.u64().ok_or_else(|| damaged("the identity file is cut"))?;
        Ok(Identity { engine: name.to_string(), store_id })
    }

    /// Makes this the directory's identity, durably. The last step of making a store.
    pub fn install(&self, dir: &Dir) -> Result<()> {
        dir.replace(filename::ENGINE, &self.encode(), Cause::Manifest)
    }

    /// Whether the directory belongs to `engine`.
    pub fn expect(&self, engine: &str, dir: &Dir) -> Result<()> {
        if self.engine == engine {
            return Ok(());
        }
        Err(Error::WrongEngine {
            path: dir.path().to_path_buf(),
            found: self.engine.clone(),
            wanted: engine.to_string(),
        })
    }
}
