//! What becomes of pending operations by chance.

use crate::vfs::crash::model::{Fate, Pending, size_only, tears};
use crate::vfs::memory::recording::Op;

/// Chance that comes from a seed. SplitMix64, as in `dice`, which the disk does not know.
pub(super) struct Dice {
    state: u64,
    /// So many places of each kind at which a write may be torn.
    tears: usize,
}

impl Dice {
    /// Dice that a seed throws.
    pub(super) fn new(seed: u64, tears: usize) -> Dice {
        Dice { state: seed, tears }
    }

    /// A number below `n`, which is not 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }

    /// Each operation is there or not, for itself.
    pub(super) fn operations(&mut self, pending: &[Pending<'_>], fates: &mut [Fate]) {
        let lost = [1, 4, 7][self.below(3)];
        for (fate, pending) in fates.iter_mut().zip(pending) {
            *fate = if self.below(8) < lost { Fate::Lost } else { self.maybe_torn(pending.op) };
        }
    }

    /// Each file is there up to some point, which is what most file systems do.
    pub(super) fn prefixes(&mut self, pending: &[Pending<'_>], fates: &mut [Fate]) {
        fates.fill(Fate::Lost);
        let mut ends: Vec<(Option<usize>, usize)> = Vec::new();
        for at in 0..pending.len() {
            let slot = pending[at].slot;
            let known = ends.iter().find(|(of, _)| *of == slot).map(|(_, end)| *end);
            let end = known.unwrap_or_else(|| {
                let end = self.below(pending.len() + 1);
                ends.push((slot, end));
                end
            });
            if at < end {
                let last = !pending[at + 1..end].iter().any(|later| later.slot == slot);
                fates[at] = if last { self.maybe_torn(pending[at].op) } else { Fate::Kept };
            }
        }
    }

    fn maybe_torn(&mut self, op: &Op) -> Fate {
        if self.below(4) > 0 {
            return Fate::Kept;
        }
        let mut ways = tears(op, self.tears);
        ways.extend(size_only(op));
        if ways.is_empty() { Fate::Kept } else { Fate::Torn(ways[self.below(ways.len())]) }
    }
}
