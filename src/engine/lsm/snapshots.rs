//! Which moments are looked at: what a compaction may not drop.
//!
//! A snapshot is a sequence number and an entry in this list, so it costs nothing to take, and no
//! write costs more while one is held. What it costs is space: of each key, a compaction keeps the
//! newest entry that each held moment sees.

use crate::engine::lsm::comparator::Order;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;

/// The moments that are held, and the newest that can be.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// Every write up to this one is in the memtables or tables as a whole.
    visible: AtomicU64,
    /// How many hold each moment.
    held: Mutex<BTreeMap<u64, usize>>,
}

impl Snapshots {
    /// Nothing is held, and `visible` is the newest write.
    pub fn new(visible: u64) -> Snapshots {
        Snapshots { visible: AtomicU64::new(visible), held: Mutex::default() }
    }

    /// The newest write that a reader sees who comes now.
    #[inline]
    pub fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Shows every write up to `seqno` to readers. Its entries are in place.
    #[inline]
    pub fn publish(&self, seqno: u64) {
        self.visible.store(seqno, Ordering::Release);
    }

    /// Holds the present; [`Snapshots::release`] ends it. Under the lock that
    /// [`Snapshots::moments`] takes, so that a compaction either knows of it, or began when every entry
    /// that it may drop was already replaced for this moment.
    pub fn hold(&self) -> u64 {
        let mut held = self.held.lock();
        let now = self.visible();
        *held.entry(now).or_default() += 1;
        now
    }

    /// Holds a moment that is held already.
    pub fn hold_again(&self, moment: u64) {
        *self.held.lock().entry(moment).or_default() += 1;
    }

    /// Lets go of a moment.
    pub fn release(&self, moment: u64) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&moment) {
            *count -= 1;
            if *count == 0 {
                held.remove(&moment);
            }
        }
    }

    /// The held moments, ascending.
    pub fn moments(&self) -> Vec<u64> {
        self.held.lock().keys().copied().collect()
    }

    /// The newest write that every reader sees, whatever moment it looks at.
    pub fn settled(&self) -> u64 {
        let held = self.held.lock();
        held.keys().next().copied().unwrap_or_else(|| self.visible())
    }

    /// How many are held.
    pub fn count(&self) -> u64 {
        self.held.lock().values().map(|&count| count as u64).sum()
    }
}

/// Decides which entries of a key somebody can still see, as they come from the newest to the oldest.
///
/// The held moments cut the sequence numbers into stripes: `(0, m1] (m1, m2] ... (mn, ∞)`. Readers are
/// at the moments and at the present, so of each key only the newest entry in each stripe is ever seen.
///
/// 1. Say entries `new` and `old` of one key are in one stripe, `new` the newer one.
/// 2. A reader who sees `old` is at a moment between the two. No moment lies inside a stripe.
/// 3. So nobody sees `old`, and it may go.
#[derive(Debug)]
pub struct Keep {
    order: Order,
    moments: Vec<u64>,
    key: Vec<u8>,
    /// The stripe of the last entry of the key; `None` before the first.
    stripe: Option<usize>,
}

impl Keep {
    /// For readers at these moments, ascending, and at the present.
    pub fn new(order: Order, moments: Vec<u64>) -> Keep {
        Keep { order, moments, key: Vec::new(), stripe: None }
    }

    /// Whether anybody can see the next entry. Call it for every entry, in order.
    #[inline]
    pub fn is_seen(&mut self, user_key: &[u8], seqno: u64) -> bool {
        let stripe = match self.moments.is_empty() {
            true => 0,
            false => self.moments.partition_point(|&moment| moment < seqno),
        };
        if self.stripe.is_some() && self.order.is_same(&self.key, user_key) {
            return self.stripe.replace(stripe) != Some(stripe);
        }
        self.key.clear();
        self.key.extend_from_slice(user_key);
        self.stripe = Some(stripe);
        true
    }

    /// Whether an entry is older than every held moment: a tombstone so old hides nothing from anybody
    /// once nothing older stands below it.
    #[inline]
    pub fn is_below_all(&self, seqno: u64) -> bool {
        self.moments.first().is_none_or(|&oldest| seqno <= oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, Snapshots};
    use crate::engine::lsm::comparator::Order;

    #[test]
    fn of_each_stripe_the_newest_entry_is_kept() {
        let mut keep = Keep::new(Order::Bytewise, vec![5, 10]);
        let seen: Vec<_> = [12, 11, 10, 7, 5, 4].into_iter().filter(|&n| keep.is_seen(b"k", n)).collect();
        assert_eq!(seen, [12, 10, 5]);
        assert!(keep.is_seen(b"l", 3), "another key");
        assert!(!keep.is_seen(b"l", 2));
        assert!(keep.is_below_all(5) && !keep.is_below_all(6));
        let mut keep = Keep::new(Order::Bytewise, vec![]);
        let seen: Vec<_> = [12, 11, 1].into_iter().filter(|&n| keep.is_seen(b"", n)).collect();
        assert_eq!(seen, [12]);
    }

    #[test]
    fn moments_are_held_until_the_last_lets_go() {
        let snapshots = Snapshots::new(3);
        let first = snapshots.hold();
        snapshots.publish(7);
        let (second, third) = (snapshots.hold(), snapshots.hold());
        assert_eq!((first, second, third), (3, 7, 7));
        snapshots.release(second);
        assert_eq!((snapshots.moments(), snapshots.count()), (vec![3, 7], 2));
        snapshots.release(third);
        snapshots.release(first);
        assert!(snapshots.moments().is_empty());
    }
}
