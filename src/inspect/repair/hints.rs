//! What hints know of records that are lost: whose they were, and which of them were removals.

use crate::engine::bitcask::hint::{Hint, HintEntry};
use crate::engine::bitcask::keydir::SHARDS;
use crate::engine::filename;
use crate::inspect::repair::report::LostKey;
use crate::inspect::repair::salvage::{Hole, Salvage};
use crate::inspect::repair::sources::Source;
use crate::inspect::text::{count, quoted};

/// So many keys are named; of more, the rest is counted.
const NAMED: usize = 1000;

/// Characters of a key that are shown.
const SHOWN: usize = 200;

impl Salvage {
    /// Looks into the hint of a segment that has holes. A hint is only believed if the manifest says what
    /// its segment was.
    ///
    /// A removal in a hole is respected, unless it was a part of a batch: a batch is applied whole or not
    /// at all. A value in a hole is lost, and its key is named, unless a newer record of it was found.
    pub(super) fn ask_hint(&mut self, source: &Source) {
        let Source { number, store_id, sealed: Some(sealed), .. } = source else { return };
        let mut holes: Vec<_> = self.holes.iter().copied().filter(|hole| hole.number == *number).collect();
        let batches: Vec<_> = holes.iter().copied().filter(|hole| hole.is_of_batch).collect();
        for hole in &mut holes {
            hole.is_of_batch |= batches.iter().any(|batch| batch.touches(hole));
        }
        if holes.is_empty() {
            return;
        }
        let name = filename::hint(*number);
        let hint = match Hint::load(&self.dir, *store_id, *number, sealed, false) {
            Ok(hint) => hint,
            Err(reason) => {
                return self.notes.push(format!("{name}: can not say what was lost: {reason}"));
            }
        };
        let mut removals = 0;
        for entry in (0..SHARDS).flat_map(|shard| hint.part(shard)) {
            let offset = u64::from(entry.offset);
            if let Some(hole) = holes.iter().find(|hole| (hole.from..hole.to).contains(&offset)) {
                removals += u64::from(self.fill(hole, &entry));
            }
        }
        if removals > 0 {
            let removals = count(removals, "removal");
            self.notes.push(format!("{name}: {removals} known from it alone, and respected"));
        }
    }

    /// Takes from a hint what it knows of a hole; says whether that was a removal that matters.
    fn fill(&mut self, hole: &Hole, entry: &HintEntry<'_>) -> bool {
        // What stands in a hole is newer than all that was taken from before it.
        let older = match self.newest.get_mut(entry.key) {
            Some(found) if found.seqno > hole.after => return false,
            Some(found) => Some(found),
            None => None,
        };
        if entry.is_tombstone {
            return !hole.is_of_batch
                && older.is_some_and(|found| !std::mem::replace(&mut found.is_tombstone, true));
        }
        let has_older_value = older.is_some_and(|found| !found.is_tombstone);
        self.unnamed += u64::from(self.keys.len() >= NAMED);
        if self.keys.len() < NAMED {
            self.keys.push(LostKey { key: quoted(entry.key, SHOWN), has_older_value });
        }
        false
    }
}
