//! A checkpoint: a second store, equal to the first, at the price of a few links.
//!
//! The memtable is flushed, and then everything is in tables, which never change: the second store
//! shares them by hard links. It gets a manifest of its own, an empty log of its own, and last its
//! identity file: the same store id, since checksums are salted with it.

use crate::engine::claim::lock_empty;
use crate::engine::filename;
use crate::engine::identity::Identity;
use crate::engine::lsm::version::Version;
use crate::engine::lsm::version::edit::LiveFile;
use crate::engine::lsm::wal::WalWriter;
use crate::engine::manifest::Manifest;
use crate::error::Result;
use crate::vfs::dir::Dir;

/// Makes a store in `to`, an empty directory, of the tables of `version`, which the caller holds.
pub(super) fn write(
    from: &Dir,
    to: &Dir,
    version: &Version,
    comparator: &str,
    number: u64,
    identity: &Identity,
) -> Result<()> {
    let _lock = lock_empty(to)?;
    let mut live = Vec::new();
    for table in version.tables() {
        from.link_or_copy(&filename::table(table.number), table.meta.len, to)?;
        live.push((table.number, LiveFile::Table(table.meta.clone())));
    }
    let last_seqno = version.tables().map(|table| table.meta.last_seqno).max().unwrap_or(0);
    let wal = WalWriter::create(to, identity.store_id, number, last_seqno + 1)?;
    live.extend([LiveFile::store(comparator, last_seqno), (number, LiveFile::Wal(wal.meta()))]);
    Manifest::create(to, identity.store_id, live)?;
    identity.install(to)
}
