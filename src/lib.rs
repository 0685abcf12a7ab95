//! Two complete key-value storage engines behind one contract: **Bitcask** (append-only segments, keys
//! in memory, merge, hint files) and a leveled **LSM tree** (memtable, sorted tables, compaction).
//!
//! ```
//! use kvs::{EngineKind, KvsEngine, KvsRead, OpenOptions};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path();
//! let store = EngineKind::Bitcask.open(path, OpenOptions::default(), &[])?;
//! store.set(b"tea", b"green")?;
//! assert_eq!(store.get(b"tea")?.as_deref(), Some(&b"green"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to begin reading: [`engine`] is the contract, [`engine::bitcask`] and [`engine::lsm`] the engines
//! that keep it, [`record`] the log that everything stands on, [`vfs`] the disk below it. The same things
//! as chapters are in `notes/`.
//!
//! The directory of a store is the same whether the library opens it or the command `kvs` does.

pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod dice;
pub mod engine;
pub mod error;
pub mod inspect;
pub mod record;
pub mod survive;
pub mod sync;
pub mod vfs;
pub mod worker;

pub use crate::engine::batch::WriteBatch;
pub use crate::engine::kind::EngineKind;
pub use crate::engine::options::{Access, Durability, OpenOptions, WriteOptions};
pub use crate::engine::range::KeyRange;
pub use crate::engine::value::Value;
pub use crate::engine::{Cursor, KvsEngine, KvsRead, Scan, Snapshot};
pub use crate::error::{Error, Result};
