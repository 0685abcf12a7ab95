//! Making an empty store.

use crate::engine::claim::FIRST_LOG;
use crate::engine::identity::Identity;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::edit::LiveFile;
use crate::engine::lsm::wal::WalWriter;
use crate::engine::manifest::Manifest;
use crate::error::Result;
use crate::vfs::dir::Dir;

/// Makes the first log and the manifest of an empty store; durable when it returns.
pub(super) fn create(dir: &Dir, identity: &Identity, order: &Order) -> Result<()> {
    let wal = WalWriter::create(dir, identity.store_id, FIRST_LOG, 1)?;
    // Making the manifest syncs the directory, and with it the log's name.
    let live = vec![LiveFile::store(order.name(), 0), (FIRST_LOG, LiveFile::Wal(wal.meta()))];
    Manifest::create(dir, identity.store_id, live).map(|_| ())
}
