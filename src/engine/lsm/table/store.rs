//! The tables of a store: opens them when they are needed, and holds no more of them open than it may.

use crate::engine::lsm::options::LsmOptions;
use crate::engine::lsm::table::Table;
use crate::engine::lsm::table::shelf::Shelf;
use crate::engine::lsm::version::edit::TableMeta;
use crate::error::{Error, Result};
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{ArcSwapOption, Guard, Mutex};
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use crate::vfs::limits;
use std::ops::Deref;
use std::sync::{Arc, Weak};

/// The place of one table: with whoever lists it as live, so that finding the open table is to look
/// here, without a map and without a lock. Clones are the same place. The table closes with the last of
/// them, and the last who uses it.
#[derive(Clone, Debug, Default)]
pub struct TableSlot(Arc<Slot>);

#[cfg(test)]
impl TableSlot {
    /// Whether its table is open.
    pub fn is_full(&self) -> bool {
        self.0.table.load().is_some()
    }
}

#[derive(Debug, Default)]
struct Slot {
    table: ArcSwapOption<Table>,
    /// Whether it was used since the hand of the clock came by.
    was_used: AtomicBool,
    /// Held while the table is opened: of two who want it, one opens it.
    opening: Mutex<()>,
}

/// An open table, kept open as long as this is held. Cheap to get and meant to be held for one
/// operation; for longer take [`OpenTable::share`].
pub struct OpenTable(Guard<Option<Arc<Table>>>);

impl OpenTable {
    /// The table, to hold as long as one likes.
    pub fn share(&self) -> Arc<Table> {
        self.arc().clone()
    }

    #[inline]
    fn arc(&self) -> &Arc<Table> {
        self.0.as_ref().expect("made only of slots that were found full")
    }
}

impl Deref for OpenTable {
    type Target = Table;

    #[inline]
    fn deref(&self) -> &Table {
        self.arc()
    }
}

impl std::fmt::Debug for OpenTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenTable").field(&self.number()).finish()
    }
}

/// The tables of a store.
#[derive(Debug)]
pub struct TableStore {
    shelf: Arc<Shelf>,
    max_open: usize,
    open: Mutex<Ring>,
}

/// Slots that were filled, and a hand that goes round them: CLOCK, which needs no lock to note a use.
#[derive(Debug, Default)]
struct Ring {
    slots: Vec<Weak<Slot>>,
    hand: usize,
}

impl TableStore {
    /// The tables in `dir`. Opens none.
    pub fn new(dir: Dir, store_id: u64, options: &LsmOptions) -> TableStore {
        let shelf = Arc::new(Shelf::new(dir, store_id, options));
        TableStore {
            shelf,
            max_open: options.max_open_tables.min(limits::open_files()),
            open: Mutex::default(),
        }
    }

    /// What all tables share.
    #[inline]
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// What the filters know a key by: computed once for a get.
    #[inline]
    pub fn hash(&self, user_key: &[u8]) -> u64 {
        self.shelf.hash(user_key)
    }

    /// Tables that are held open, those left out that are open only because somebody uses them.
    pub fn open_tables(&self) -> usize {
        let ring = self.open.lock();
        ring.slots.iter().filter_map(Weak::upgrade).filter(|slot| slot.table.load().is_some()).count()
    }

    /// Bytes of the indexes, of the filters of the open tables, and of the blocks in the cache.
    pub fn memory_bytes(&self) -> [u64; 3] {
        let ring = self.open.lock();
        let slots = ring.slots.iter().filter_map(Weak::upgrade);
        let tables = slots.filter_map(|slot| slot.table.load_full());
        let [indexes, filters] = tables.fold([0, 0], |[indexes, filters], table| {
            let bytes = table.filter_bytes() as u64;
            [indexes + table.memory_bytes() as u64 - bytes, filters + bytes]
        });
        [indexes, filters, self.shelf.cache.used_bytes()]
    }

    /// The table of a slot, opened if need be: then another one may be closed.
    #[inline]
    pub fn find(&self, number: u64, meta: &TableMeta, slot: &TableSlot) -> Result<OpenTable> {
        let table = slot.0.table.load();
        if table.is_some() {
            // Looked at first: a line that all threads read is not to be written by each of them.
            if !slot.0.was_used.load(Relaxed) {
                slot.0.was_used.store(true, Relaxed);
            }
            return Ok(OpenTable(table));
        }
        self.fill(number, meta, slot)
    }

    #[cold]
    fn fill(&self, number: u64, meta: &TableMeta, slot: &TableSlot) -> Result<OpenTable> {
        let _opening = slot.0.opening.lock();
        let table = slot.0.table.load();
        if table.is_some() {
            return Ok(OpenTable(table));
        }
        let table = Some(Arc::new(self.open(number, meta, Cause::Read)?));
        slot.0.table.store(table.clone());
        slot.0.was_used.store(true, Relaxed);
        let closed = self.open.lock().push(&slot.0, self.max_open);
        self.shelf.counters.closes.fetch_add(closed.len() as u64, Relaxed);
        Ok(OpenTable(Guard::from_inner(table)))
    }

    /// Opens a table for its caller alone: it is in no slot and does not count as held open. For a
    /// compaction, which reads it once, under its own `cause`.
    pub fn open(&self, number: u64, meta: &TableMeta, cause: Cause) -> Result<Table> {
        let table = self.with_descriptor(|| Table::open(&self.shelf, number, cause))?;
        table.check(meta)?;
        Ok(table)
    }

    /// Runs what needs a file descriptor. If the process has none left, closes all tables and tries
    /// again: they are opened when they are read.
    pub fn with_descriptor<T>(&self, run: impl Fn() -> Result<T>) -> Result<T> {
        match run() {
            Err(error) if is_out_of_descriptors(&error) && self.close_all() > 0 => run(),
            other => other,
        }
    }

    /// Closes every table that nobody uses; those that are used close when they are let go. Returns how
    /// many there were.
    pub fn close_all(&self) -> usize {
        let slots = std::mem::take(&mut self.open.lock().slots);
        let slots = slots.iter().filter_map(Weak::upgrade);
        slots.filter(|slot| slot.table.swap(None).is_some()).count()
    }
}

impl Ring {
    /// Takes a slot in that was filled, and closes others until there are no more than `max`. Returns
    /// what was closed, for its files to be closed with the lock let go.
    fn push(&mut self, slot: &Arc<Slot>, max: usize) -> Vec<Arc<Table>> {
        let mut closed = Vec::new();
        if self.slots.len() >= max {
            // First those whose slots are gone.
            self.slots.retain(|slot| slot.strong_count() > 0);
        }
        while self.slots.len() >= max.max(1) {
            self.hand %= self.slots.len();
            match self.slots[self.hand].upgrade() {
                Some(slot) if slot.was_used.swap(false, Relaxed) => self.hand += 1,
                slot => {
                    closed.extend(slot.and_then(|slot| slot.table.swap(None)));
                    self.slots.swap_remove(self.hand);
                }
            }
        }
        self.slots.push(Arc::downgrade(slot));
        closed
    }
}

fn is_out_of_descriptors(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)))
}

#[cfg(test)]
mod tests {
    use super::{Ring, TableSlot};
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Arc, Weak};

    /// Which of the slots are in the ring, in its order.
    fn held(ring: &Ring, slots: &[TableSlot]) -> Vec<usize> {
        let number = |weak: &Weak<_>| slots.iter().position(|slot| weak.ptr_eq(&Arc::downgrade(&slot.0)));
        ring.slots.iter().filter_map(number).collect()
    }

    #[test]
    fn what_was_used_since_the_hand_passed_stays() {
        let slots: Vec<_> = (0..4).map(|_| TableSlot::default()).collect();
        let mut ring = Ring::default();
        for slot in &slots[..3] {
            ring.push(&slot.0, 3);
        }
        slots[0].0.was_used.store(true, Relaxed);
        ring.push(&slots[3].0, 3);
        assert_eq!(held(&ring, &slots), [0, 2, 3], "the first one that was not used went");
        assert!(!slots[0].0.was_used.load(Relaxed), "it is spared once");
    }

    #[test]
    fn the_hand_goes_round() {
        let slots: Vec<_> = (0..40).map(|_| TableSlot::default()).collect();
        let mut ring = Ring::default();
        for (n, slot) in slots.iter().enumerate() {
            slot.0.was_used.store(true, Relaxed);
            ring.push(&slot.0, 3);
            let held = held(&ring, &slots);
            assert!(held.len() == 3.min(n + 1) && held.contains(&n), "{held:?}");
        }
    }

    #[test]
    fn slots_that_are_gone_make_room_first() {
        let [used, gone, new] = [(); 3].map(|()| TableSlot::default());
        let mut ring = Ring::default();
        ring.push(&used.0, 2);
        ring.push(&gone.0, 2);
        drop(gone);
        ring.push(&new.0, 2);
        assert_eq!(held(&ring, &[used, new]), [0, 1]);
    }
}
