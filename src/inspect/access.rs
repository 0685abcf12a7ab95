//! Whether the files of a store may be read at all.

use crate::engine::filename;
use crate::error::{Error, Result};
use crate::vfs::dir::Dir;
use crate::vfs::{Cause, DirEntry};
use std::io;

/// A file that this user may not read is no damage, and nothing can be said of it.
pub(super) fn may_read(dir: &Dir, entries: &[DirEntry]) -> Result<()> {
    for entry in entries.iter().filter(|entry| filename::parse(&entry.name).is_some()) {
        match dir.open(&entry.name, Cause::Inspect) {
            Err(error) if is_denied(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}
