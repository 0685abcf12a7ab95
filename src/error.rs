//! What can go wrong, told from the caller's side: what to mend, and where.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
///
/// Errors can be cloned, because one failed sync fails every writer of a commit group, and because
/// a poisoned engine repeats its cause to each later writer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused: the operation, the file, and what the system said.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// The verb that failed: `open`, `append`, `sync`, ...
        op: &'static str,
        /// The file or directory it was asked of.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },

    /// The disk is full. Nothing that was acknowledged is lost; free some space and open again.
    #[error("{op} {}: no space left on the disk; free some and open the store again", path.display())]
    NoSpace {
        /// The verb that failed.
        op: &'static str,
        /// The file it was asked of.
        path: PathBuf,
    },

    /// Bytes on the disk are not what was written there. `kvs verify` lists all damage, `kvs
    /// repair` copies what is whole to another place.
    #[error("{}: damaged at offset {offset}: {reason}", path.display())]
    Corruption {
        /// The damaged file.
        path: PathBuf,
        /// The offset in it of the first byte that can not be trusted.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },

    /// Another handle, of this process or another, has the store open.
    #[error("{}: locked: another process or handle has this store open", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },

    /// The directory belongs to another engine than the one asked for. Nothing was touched.
    #[error(
        "{}: this directory belongs to the {found} engine, not to {wanted}{}",
        path.display(), to_move(path, wanted)
    )]
    WrongEngine {
        /// The store's directory.
        path: PathBuf,
        /// The engine that owns it.
        found: String,
        /// The engine that was asked for.
        wanted: String,
    },

    /// The store was written in a format that this build does not know. Nothing was touched.
    #[error("{}: format version {found}; this build reads version {known}: use the version of kvs that wrote it", path.display())]
    UnknownFormat {
        /// The file that says so.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that this build reads and writes.
        known: u32,
    },

    /// A migration or a repair into this directory is on its way, or was killed: there is no store here
    /// yet. To run it again cleans up first.
    #[error(
        "{}: a migration or a repair into this directory is not finished; run it again, or remove the directory",
        path.display()
    )]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },

    /// There is no store in this directory, and the call was not allowed to make one.
    #[error("{}: no store here", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },

    /// The caller's argument can not be used; says which and why. Nothing was done.
    #[error("{0}")]
    InvalidArgument(String),

    /// The store was opened for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,

    /// An earlier write or sync failed, or a background job died: the engine refuses to acknowledge
    /// anything more, but still reads. Opening the store again recovers what was acknowledged.
    #[error("writes are refused since an earlier failure; open the store again to recover: {0}")]
    Poisoned(Arc<Error>),
}

/// The engine that keeps nothing: to it no store can be moved.
pub(crate) const MEMORY: &str = "memory";

/// How a store gets to another engine.
fn to_move(path: &Path, wanted: &str) -> String {
    match wanted {
        MEMORY => String::new(),
        _ => format!("; to move it: kvs -p {} migrate --to {wanted} DEST", path.display()),
    }
}

impl Error {
    /// An error of the disk. A full disk gets its own kind.
    pub fn io(op: &'static str, path: &Path, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::NoSpace { op, path: path.to_path_buf() }
            }
            _ => Error::Io { op, path: path.to_path_buf(), source: Arc::new(source) },
        }
    }

    /// Damage in `path` at `offset`.
    pub fn corruption(path: &Path, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corruption { path: path.to_path_buf(), offset, reason: reason.into() }
    }

    /// An argument that can not be used.
    pub fn invalid(reason: impl Into<String>) -> Error {
        Error::InvalidArgument(reason.into())
    }

    /// The error at the root: what poisoned the engine, or the error itself.
    pub fn root(&self) -> &Error {
        match self {
            Error::Poisoned(cause) => cause.root(),
            other => other,
        }
    }

    /// Whether stored bytes are damaged.
    pub fn is_corruption(&self) -> bool {
        matches!(self.root(), Error::Corruption { .. })
    }
}
