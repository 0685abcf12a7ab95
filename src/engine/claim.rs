//! Claiming a directory: the steps of opening that are the same for both engines.
//!
//! 1. The directory is made, if the caller may; else it must be there.
//! 2. It is locked: by one writer, or by any number of readers.
//! 3. Its identity is read, under the lock. If there is none and the caller may, the engine makes an
//!    empty store, and the identity file is put in place *last*: until it is there, the next attempt
//!    begins again.
//! 4. The identity must name the engine that asks.
//!
//! ```text
//!   nothing ──> directory ──> first log ──> MANIFEST ──> ENGINE
//!                             └── half made: made again by whoever comes next ──┘
//! ```

use crate::engine::filename::{self, ENGINE, FileName, MANIFEST};
use crate::engine::identity::Identity;
use crate::engine::manifest;
use crate::engine::options::{Access, OpenOptions};
use crate::error::{Error, Result};
use crate::record::frame::{HEADER_LEN, Header};
use crate::vfs::dir::Dir;
use crate::vfs::{Cause, DirEntry, DirLock, LockMode};
use std::path::Path;

/// The number of a new store's first log: a segment, or a write-ahead log.
pub const FIRST_LOG: u64 = 1;

/// A directory that is ours while this is held.
#[derive(Debug)]
pub struct Claim {
    /// The directory.
    pub dir: Dir,
    /// Whose it is.
    pub identity: Identity,
    /// Keeps others out, or at least writers.
    pub lock: Box<dyn DirLock>,
}

impl Claim {
    /// Claims the directory `path` for `engine`, as `open.access` says. `make` writes the first log and
    /// the manifest of an empty store, durably; it is called only if there is no store.
    pub fn take(
        path: &Path,
        open: &OpenOptions,
        engine: &str,
        make: impl FnOnce(&Dir, &Identity) -> Result<()>,
    ) -> Result<Claim> {
        if open.durability.interval().is_some_and(|most| most.is_zero()) {
            return Err(Error::invalid("an interval of durability is longer than nothing; or take `Always`"));
        }
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
                clear_half_made(&dir)?;
                let identity = Identity::new(engine, open.store_id);
                make(&dir, &identity)?;
                identity.install(&dir)?;
                identity
            }
            None => return Err(Error::NoStore { path: path.to_path_buf() }),
        };
        identity.expect(engine, &dir)?;
        Ok(Claim { dir, identity, lock })
    }
}

/// Whether a directory without an identity file may become a store: nothing in it is ours that could
/// hold data. A half-made store of either engine is; somebody's store whose identity file was lost is
/// not.
pub fn may_create(dir: &Dir) -> Result<()> {
    may_become_a_store(dir, &dir.list()?.unwrap_or_default())
}

fn may_become_a_store(dir: &Dir, entries: &[DirEntry]) -> Result<()> {
    for entry in entries {
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

fn is_our_manifest(dir: &Dir, len: u64) -> Result<bool> {
    let file = dir.open(MANIFEST, Cause::Recovery)?;
    let mut head = vec![0; len.min(HEADER_LEN) as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(Header::decode(&head).is_some_and(|header| header.kind == manifest::LOG_KIND && header.number == 1))
}

/// Removes the log that an interrupted creation left, which may have been the other engine's; refuses
/// if anything could hold data. The manifest is replaced as a whole.
fn clear_half_made(dir: &Dir) -> Result<()> {
    // What is judged is what is removed.
    let entries = dir.entries()?;
    if entries.iter().any(|entry| entry.name == ENGINE) {
        let reason = "the identity file was not there a moment ago; open the store again";
        return Err(Error::corruption(&dir.join(ENGINE), 0, reason));
    }
    may_become_a_store(dir, &entries)?;
    for entry in &entries {
        if let Some(FileName::Segment(_) | FileName::Wal(_)) = filename::parse(&entry.name) {
            dir.remove(&entry.name)?;
        }
    }
    Ok(())
}

/// The directory `dest`, on the disk of `from`, to put a second store into: it must be missing, and is
/// made, or empty.
pub fn empty_dir(from: &Dir, dest: &Path) -> Result<Dir> {
    let dir = from.sibling(dest);
    expect_empty(&dir, &dir.list()?.unwrap_or_default())?;
    dir.create_all()?;
    Ok(dir)
}

/// Keeps others out of a directory that [`empty_dir`] has found empty, if it still is: another may have put a
/// store into it since.
pub fn lock_empty(dir: &Dir) -> Result<Box<dyn DirLock>> {
    let lock = dir.lock(LockMode::Exclusive)?;
    expect_empty(dir, &dir.entries()?)?;
    Ok(lock)
}

/// An error, if there is something in a directory that has these entries.
pub fn expect_empty(dir: &Dir, entries: &[DirEntry]) -> Result<()> {
    match entries.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(format!("{}: not empty; name a new directory", dir.path().display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, may_create};
    use crate::engine::filename;
    use crate::engine::manifest::Manifest;
    use crate::engine::options::{Access, OpenOptions};
    use crate::error::Error;
    use crate::record::frame::HEADER_LEN;
    use crate::vfs::Cause;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::image::Image;
    use crate::vfs::memory::{Record, SimDisk};
    use std::path::Path;
    use std::sync::Arc;

    fn fresh() -> (Dir, OpenOptions) {
        let disk = Arc::new(SimDisk::from_image(&Image::default(), Record::Off));
        let dir = Dir::new(disk.clone(), Path::new("/store"));
        dir.create_all().unwrap();
        (dir, OpenOptions { disk, ..OpenOptions::default() })
    }

    fn put(dir: &Dir, name: &str, len: u64) {
        let file = dir.create(name, Cause::Inspect).unwrap();
        file.append(&vec![0; len as usize]).unwrap();
    }

    #[test]
    fn a_half_made_store_of_either_engine_is_made_again() {
        for half in [filename::segment(1), filename::wal(1)] {
            let (dir, open) = fresh();
            put(&dir, &half, HEADER_LEN);
            Manifest::create(&dir, 7, vec![(1, 1u64)]).unwrap();
            Claim::take(dir.path(), &open, "any", |_, _| Ok(())).unwrap();
            let names: Vec<_> = dir.list().unwrap().unwrap().into_iter().map(|entry| entry.name).collect();
            assert!(!names.contains(&half) && names.contains(&"ENGINE".into()), "{names:?}");
        }
    }

    #[test]
    fn what_could_hold_data_is_left_alone() {
        let (first, second) = (HEADER_LEN + 1, HEADER_LEN);
        for (name, len) in [
            (filename::segment(1), first),
            (filename::wal(1), first),
            (filename::segment(2), second),
            (filename::wal(2), second),
            (filename::table(1), 0),
            (filename::hint(1), 0),
            ("MANIFEST".into(), 100),
        ] {
            let (dir, open) = fresh();
            put(&dir, &name, len);
            assert!(may_create(&dir).unwrap_err().is_corruption(), "{name}");
            let refused = Claim::take(dir.path(), &open, "any", |_, _| panic!("nothing is made"));
            assert!(refused.unwrap_err().is_corruption(), "{name}");
            assert_eq!(dir.list().unwrap().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_claim_keeps_others_out_and_names_the_owner() {
        let (dir, open) = fresh();
        let make = |_: &Dir, _: &_| Ok(());
        let claim = Claim::take(dir.path(), &open, "mine", make).unwrap();
        let read = OpenOptions { access: Access::Read, ..open.clone() };
        assert!(matches!(Claim::take(dir.path(), &read, "mine", make), Err(Error::Locked { .. })));
        drop(claim);
        let refused = Claim::take(dir.path(), &open, "yours", make);
        assert!(matches!(refused, Err(Error::WrongEngine { found, .. }) if found == "mine"));
    }
}
