//! A permutation: in which order the slots of a node stand, in one word.
//!
//! ```text
//! permutation := slot[13]:4 .. slot[1]:4 slot[0]:4 len:8      lowest bits last
//! ```
//!
//! The first `len` are the slots in use, in the order of their keys; the rest are free. A writer fills a
//! free slot, which no reader looks at, and then stores the word that has it in its place: a reader sees
//! the node before or after, and nothing between. From Masstree (Mao, Kohler and Morris, 2012).

/// Slots of a node: as many as make it two cache lines.
pub(super) const SLOTS: usize = 14;

/// The order of a node's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permutation(pub(super) u64);

/// The bits of the slots at and behind a position.
fn from(position: usize) -> u64 {
    u64::MAX.checked_shl(8 + 4 * position as u32).unwrap_or(0)
}

impl Permutation {
    /// The first `len` slots, as they stand.
    pub(super) fn of(len: usize) -> Permutation {
        Permutation((0..SLOTS).map(|slot| (slot as u64) << (8 + 4 * slot)).sum::<u64>() | len as u64)
    }

    /// How many slots are in use.
    #[inline]
    pub(super) fn len(self) -> usize {
        (self.0 & 0xff) as usize
    }

    /// Whether all are.
    pub(super) fn is_full(self) -> bool {
        self.len() == SLOTS
    }

    /// The slot at a position: one in use for positions below `len`, a free one behind.
    #[inline]
    pub(super) fn slot(self, position: usize) -> usize {
        (self.0 >> (8 + 4 * position) & 0xf) as usize
    }

    /// With the first free slot moved to a position. Not if all are in use.
    pub(super) fn insert(self, position: usize) -> Permutation {
        let len = self.len();
        let free = (self.slot(len) as u64) << (8 + 4 * position);
        let moved = self.0 & from(position) & !from(len);
        let stays = self.0 & (!from(position) | from(len + 1));
        Permutation((stays & !0xff) | moved << 4 | free | (len as u64 + 1))
    }

    /// With only the first `len` in use.
    pub(super) fn truncate(self, len: usize) -> Permutation {
        Permutation(self.0 & !0xff | len as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Permutation, SLOTS};

    #[test]
    fn slots_are_inserted_where_they_belong() {
        for step in 0..SLOTS + 1 {
            let (mut permutation, mut model, mut free) =
                (Permutation::of(0), Vec::new(), (0..SLOTS).collect::<Vec<_>>());
            for n in 0..100 {
                if permutation.is_full() {
                    free.splice(0..0, model.drain(step.min(SLOTS - 1)..));
                    permutation = permutation.truncate(model.len());
                }
                let position = (n * step) % (model.len() + 1);
                permutation = permutation.insert(position);
                model.insert(position, free.remove(0));
                let slots: Vec<_> = (0..SLOTS).map(|position| permutation.slot(position)).collect();
                assert_eq!(slots, [&model[..], &free[..]].concat());
                assert_eq!(permutation.len(), model.len());
            }
        }
    }
}
