//! The catalog: which files are live, durably, and which number comes next.

use crate::engine::health::Health;
use crate::engine::manifest::{Edit, Manifest};
use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The manifest of an open store, as those who make files share it; `F` describes a file.
#[derive(Debug)]
pub struct Catalog<F> {
    /// `None` when open for reading only. Locked after the writer, where both are.
    manifest: Mutex<Option<Manifest<F>>>,
    next_number: AtomicU64,
    last_number: u64,
    health: Arc<Health>,
}

impl<F: Serialize + DeserializeOwned + Clone> Catalog<F> {
    /// Goes on with this manifest. `numbers` are free, and there are no others.
    pub fn new(
        manifest: Option<Manifest<F>>,
        numbers: RangeInclusive<u64>,
        health: Arc<Health>,
    ) -> Catalog<F> {
        let (next_number, last_number) = (AtomicU64::new(*numbers.start()), *numbers.end());
        Catalog { manifest: Mutex::new(manifest), next_number, last_number, health }
    }

    /// A number that no file has had. Fails when all are used up.
    pub fn take_number(&self) -> Result<u64> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        match number <= self.last_number {
            true => Ok(number),
            false => {
                let last = self.last_number;
                Err(Error::invalid(format!("all file numbers up to {last} are used up; export and import")))
            }
        }
    }

    /// Makes an edit durable. A failure poisons the store: what the disk says is unknown. Of a poisoned one nothing
    /// is edited: what an edit builds on may not be durable.
    pub fn apply(&self, edit: Edit<F>) -> Result<()> {
        let mut manifest = self.manifest.lock();
        // With the lock: the edit that we waited for may have failed.
        self.health.check()?;
        match &mut *manifest {
            Some(manifest) => self.health.guard(manifest.apply(edit)),
            None => Err(Error::ReadOnly),
        }
    }

    /// Ends the manifest in an orderly way.
    pub fn close(&self) -> Result<()> {
        self.manifest.lock().as_mut().map_or(Ok(()), Manifest::close)
    }
}

#[cfg(test)]
mod tests {
    use super::Catalog;
    use crate::engine::event::Listener;
    use crate::engine::health::Health;
    use crate::engine::manifest::{Edit, Manifest};
    use crate::error::{Error, Result};
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    // It looked whether the store was sound before it waited for the manifest, and edited that of one that was
    // poisoned meanwhile.
    #[test]
    fn an_edit_that_waited_for_one_that_failed_is_refused() {
        let dir = Dir::new(Arc::new(SimDisk::new()), Path::new("/store"));
        dir.create_all().unwrap();
        let manifest = Manifest::create(&dir, 7, vec![(1, 1u64)]).unwrap();
        let health = Arc::new(Health::new(Listener::default()));
        let catalog = Catalog::new(Some(manifest), 2..=9, health.clone());
        std::thread::scope(|scope| {
            let held = catalog.manifest.lock();
            let waits = scope.spawn(|| catalog.apply(Edit { add: vec![(2, 2u64)], ..Edit::default() }));
            // Long enough for it to come so far; if it were not, it would be refused as well.
            std::thread::sleep(Duration::from_millis(100));
            let failed: Result<()> = health.guard(Err(Error::invalid("the disk failed")));
            failed.unwrap_err();
            drop(held);
            assert!(matches!(waits.join().unwrap(), Err(Error::Poisoned { .. })));
        });
    }
}
