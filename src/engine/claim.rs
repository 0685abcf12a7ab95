//! Taking a directory: what happens before an engine reads the first byte of its own.
//!
//! The directory is made if need be, locked, and asked whose it is; an empty one becomes a store. Both
//! engines begin like this.

use crate::engine::filename::{self, FileName, MANIFEST};
use crate::engine::identity::Identity;
use crate::engine::manifest;
use crate::engine::options::{Access, OpenOptions};
use crate::error::{Error, Result};
use crate::record::frame::{HEADER_LEN, Header};
use crate::vfs::dir::Dir;
use crate::vfs::{Cause, DirLock, LockMode};
use std::path::Path;

/// A directory that is ours until the lock is let go.
#[derive(Debug)]
pub struct Claim {
    /// The directory.
    pub dir: Dir,
    /// Which store it is.
    pub identity: Identity,
    /// Keeps others out.
    pub lock: Box<dyn DirLock>,
}

impl Claim {
    /// Takes the directory `path` for `engine`. `make` makes an empty store in it, where there is none
    /// and `open.access` lets us.
    pub fn take(
        path: &Path,
        open: &OpenOptions,
        engine: &str,
        make: impl FnOnce(&Dir) -> Result<Identity>,
    ) -> Result<Claim> {
        let dir = Dir::new(open.disk.clone(), path);
        if open.access == Access::Create && Identity::load(&dir)?.is_none() {
            dir.create_all()?;
        } else if dir.list()?.is_none() {
            return Err(Error::NoStore { path: path.to_path_buf() });
        }
        let lock = dir.lock(match open.access {
            Access::Read => LockMode::Shared,
            Access::Create | Access::Write => LockMode::Exclusive,
        })?;
        // Again, and now nobody can come in between.
        let identity = match Identity::load(&dir)? {
            Some(identity) => identity,
            None if open.access == Access::Create => {
                may_create(&dir)?;
                make(&dir)?
            }
            None => return Err(Error::NoStore { path: path.to_path_buf() }),
        };
        identity.expect(engine, &dir)?;
        Ok(Claim { dir, identity, lock })
    }
}

/// The number of a new store's first segment, or of its first write-ahead log.
pub const FIRST_LOG: u64 = 1;

/// Whether a directory without an identity file may become a store: nothing in it is ours that could
/// hold data. A half-made store is; somebody's store whose identity file was lost is not.
pub fn may_create(dir: &Dir) -> Result<()> {
    for entry in dir.list()?.unwrap_or_default() {
        let data = match filename::parse(&entry.name) {
            // A half-made store has one log with at most its header in it.
            Some(FileName::Segment(number) | FileName::Wal(number)) => {
                number != FIRST_LOG || entry.len > HEADER_LEN
            }
            Some(FileName::Table(_) | FileName::Hint(_)) => true,
            // Written by our creation, or by another program; ours begins with our header.
            Some(FileName::Manifest) => !is_our_manifest(dir, entry.len)?,
            _ => false,
        };
        if data {
            let reason = "it looks like a store's file, but the directory has no identity file (ENGINE); \
                          use an empty directory, or kvs repair";
            return Err(Error::corruption(&dir.join(&entry.name), 0, reason));
        }
    }
    Ok(())
}

/// Makes sure that `dest` can become a store: it is missing, or empty. Makes the directory,
/// on the disk of `near`.
pub fn prepare(near: &Dir, dest: &Path) -> Result<Dir> {
    let dir = near.sibling(dest);
    if dir.list()?.is_some_and(|entries| !entries.is_empty()) {
        return Err(Error::invalid(format!("{}: not empty; name a new directory", dest.display())));
    }
    dir.create_all()?;
    Ok(dir)
}

fn is_our_manifest(dir: &Dir, len: u64) -> Result<bool> {
    let file = dir.open(MANIFEST, Cause::Recovery)?;
    let mut head = vec![0; len.min(HEADER_LEN) as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(Header::decode(&head).is_some_and(|header| header.kind == manifest::LOG_KIND && header.number == 1))
}
