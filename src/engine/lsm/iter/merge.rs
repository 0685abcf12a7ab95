//! Many sorted sources as one: a heap of cursors, the next entry on top.

use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::error::Result;
use std::cmp::Ordering;

/// Which way the heap is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    Forward,
    Reverse,
}

/// The entries of several cursors, in one order. Equal internal keys do not occur: a write has one
/// place.
///
/// Moving on costs one step of one cursor and at most `2 log2(n)` comparisons; one or two where the
/// same source goes on. Turning round costs a seek in every other source.
#[derive(Debug)]
pub struct Merge<C> {
    order: Order,
    sources: Vec<C>,
    /// The valid sources, as a heap: the current one is the first.
    heap: Vec<usize>,
    heading: Heading,
    /// Where to turn round.
    pivot: Vec<u8>,
}

impl<C: EntryCursor> Merge<C> {
    /// Merges `sources`.
    pub fn new(order: Order, sources: Vec<C>) -> Merge<C> {
        let heap = Vec::with_capacity(sources.len());
        Merge { order, sources, heap, heading: Heading::Forward, pivot: Vec::new() }
    }

    /// The sources, to look at what they did.
    pub fn sources(&self) -> &[C] {
        &self.sources
    }

    /// The source that the current entry is in. Only on a valid cursor.
    pub fn current(&self) -> usize {
        self.heap[0]
    }

    /// Moves every source, and sorts them all.
    fn restart(&mut self, heading: Heading, mut go: impl FnMut(&mut C) -> Result<()>) -> Result<()> {
        self.heap.clear();
        self.heading = heading;
        for source in &mut self.sources {
            go(source)?;
        }
        self.build();
        Ok(())
    }

    fn build(&mut self) {
        self.heap.clear();
        self.heap.extend((0..self.sources.len()).filter(|&i| self.sources[i].valid()));
        for i in (0..self.heap.len() / 2).rev() {
            self.sift_down(i);
        }
    }

    /// Whether source `a` comes before source `b`, the way we are heading.
    #[inline]
    fn is_before(&self, a: usize, b: usize) -> bool {
        let ordering = self.order.compare_internal(self.sources[a].key(), self.sources[b].key());
        match self.heading {
            Heading::Forward => ordering == Ordering::Less,
            Heading::Reverse => ordering == Ordering::Greater,
        }
    }

    #[inline]
    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut child = 2 * at + 1;
            if child >= self.heap.len() {
                return;
            }
            if child + 1 < self.heap.len() && self.is_before(self.heap[child + 1], self.heap[child]) {
                child += 1;
            }
            if !self.is_before(self.heap[child], self.heap[at]) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    /// The first source has moved: puts it where it belongs.
    #[inline]
    fn settle(&mut self) {
        if !self.sources[self.heap[0]].valid() {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
    }

    /// Moves on from the current entry, the other way: makes every source stand on the first entry that
    /// it has on that side, then sorts them that way.
    fn turn(&mut self, heading: Heading) -> Result<()> {
        let current = self.heap[0];
        self.pivot.clear();
        self.pivot.extend_from_slice(self.sources[current].key());
        // If a source fails, nothing is known: the cursor is invalid then.
        self.heap.clear();
        for (i, source) in self.sources.iter_mut().enumerate() {
            match heading {
                Heading::Forward if i == current => source.next()?,
                Heading::Forward => source.seek(&self.pivot)?,
                Heading::Reverse if i == current => source.prev()?,
                Heading::Reverse => {
                    source.seek(&self.pivot)?;
                    match source.valid() {
                        true => source.prev()?,
                        false => source.seek_to_last()?,
                    }
                    // A memtable is written meanwhile: what was not there when it was sought may be now.
                    while source.valid() && self.order.compare_internal(source.key(), &self.pivot).is_ge() {
                        source.prev()?;
                    }
                }
            }
        }
        self.heading = heading;
        self.build();
        Ok(())
    }

    fn advance(&mut self, heading: Heading) -> Result<()> {
        if self.heading != heading {
            return self.turn(heading);
        }
        let source = &mut self.sources[self.heap[0]];
        let moved = match heading {
            Heading::Forward => source.next(),
            Heading::Reverse => source.prev(),
        };
        if let Err(error) = moved {
            self.heap.clear();
            return Err(error);
        }
        self.settle();
        Ok(())
    }
}

impl<C: EntryCursor> EntryCursor for Merge<C> {
    fn seek_to_first(&mut self) -> Result<()> {
        self.restart(Heading::Forward, C::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.restart(Heading::Reverse, C::seek_to_last)
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.restart(Heading::Forward, |source| source.seek(target))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        self.advance(Heading::Forward)
    }

    fn prev(&mut self) -> Result<()> {
        self.advance(Heading::Reverse)
    }

    #[inline]
    fn valid(&self) -> bool {
        !self.heap.is_empty()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.sources[self.heap[0]].key()
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.sources[self.heap[0]].value()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Merge;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::iter::EntryCursor;
    use crate::engine::lsm::key::{Kind, internal, trailer};
    use crate::error::Result;

    /// Entries in a vector.
    #[derive(Clone, Debug, Default)]
    pub(in crate::engine::lsm::iter) struct Listed {
        pub(in crate::engine::lsm::iter) order: Order,
        pub(in crate::engine::lsm::iter) entries: Vec<(Vec<u8>, Vec<u8>)>,
        pub(in crate::engine::lsm::iter) at: Option<usize>,
    }

    impl EntryCursor for Listed {
        fn seek_to_first(&mut self) -> Result<()> {
            self.at = (!self.entries.is_empty()).then_some(0);
            Ok(())
        }
        fn seek_to_last(&mut self) -> Result<()> {
            self.at = self.entries.len().checked_sub(1);
            Ok(())
        }
        fn seek(&mut self, target: &[u8]) -> Result<()> {
            let below = |key: &[u8]| self.order.compare_internal(key, target).is_lt();
            let at = self.entries.partition_point(|(key, _)| below(key));
            self.at = (at < self.entries.len()).then_some(at);
            Ok(())
        }
        fn next(&mut self) -> Result<()> {
            self.at = self.at.map(|at| at + 1).filter(|at| *at < self.entries.len());
            Ok(())
        }
        fn prev(&mut self) -> Result<()> {
            self.at = self.at.and_then(|at| at.checked_sub(1));
            Ok(())
        }
        fn valid(&self) -> bool {
            self.at.is_some()
        }
        fn key(&self) -> &[u8] {
            &self.entries[self.at.unwrap()].0
        }
        fn value(&self) -> &[u8] {
            &self.entries[self.at.unwrap()].1
        }
    }

    /// Entries that grow by one after each seek: a writer's, who is as fast as can be.
    struct Growing {
        listed: Listed,
        coming: Vec<(Vec<u8>, Vec<u8>)>,
    }

    impl EntryCursor for Growing {
        fn seek_to_first(&mut self) -> Result<()> {
            self.listed.seek_to_first()
        }
        fn seek_to_last(&mut self) -> Result<()> {
            self.listed.seek_to_last()
        }
        fn seek(&mut self, target: &[u8]) -> Result<()> {
            self.listed.seek(target)?;
            if let Some(entry) = self.coming.pop() {
                let at = self.listed.entries.partition_point(|other| other.0 < entry.0);
                self.listed.entries.insert(at, entry);
                // It goes on standing on what it stood on.
                self.listed.at = self.listed.at.map(|stood| stood + usize::from(at <= stood));
            }
            Ok(())
        }
        fn next(&mut self) -> Result<()> {
            self.listed.next()
        }
        fn prev(&mut self) -> Result<()> {
            self.listed.prev()
        }
        fn valid(&self) -> bool {
            self.listed.valid()
        }
        fn key(&self) -> &[u8] {
            self.listed.key()
        }
        fn value(&self) -> &[u8] {
            self.listed.value()
        }
    }

    // To turn round, the merge sought the current key in every other source, went one back in it, and
    // then moved whichever source came first, taking it for the current one. Where a writer had put an
    // entry above the current one into a memtable between the two, that came first; the current source
    // stayed where it was, and `prev` came to the key that it had left: a cursor stood still, and a scan
    // from the end of a range began with a key that is not in it. Found by the long run of
    // `tests/concurrency.rs`, once in some minutes.
    #[test]
    fn turning_round_leaves_the_current_entry_whatever_is_written_meanwhile() {
        let entry = |key: &[u8], seqno| (internal(key, trailer(seqno, Kind::Set)), Vec::new());
        for (has, coming) in [(b"a", b"c"), (b"a", b"z"), (b"x", b"c")] {
            let [old, has, coming] = [entry(b"b", 1), entry(has, 2), entry(coming, 3)];
            let listed = |entries| Listed { entries, ..Listed::default() };
            let fixed = Growing { listed: listed(vec![entry(b"0", 4), old.clone()]), coming: vec![] };
            let growing = Growing { listed: listed(vec![has]), coming: vec![coming.clone()] };
            let mut merge = Merge::new(Order::Bytewise, vec![growing, fixed]);
            merge.seek_to_first().unwrap();
            while merge.key() != old.0 {
                merge.next().unwrap();
            }
            merge.prev().unwrap();
            assert!(merge.valid() && merge.key() < &old.0[..], "{coming:?} came");
        }
    }

    /// A small source of numbers that are the same on every run.
    pub(in crate::engine::lsm::iter) struct Dice(pub(in crate::engine::lsm::iter) u64);

    impl Dice {
        pub(in crate::engine::lsm::iter) fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }
    }

    /// Entries spread over sources, and all of them in one.
    pub(in crate::engine::lsm::iter) fn spread(dice: &mut Dice, order: &Order) -> (Vec<Listed>, Listed) {
        let mut sources =
            vec![Listed { order: order.clone(), ..Listed::default() }; 1 + dice.below(6) as usize];
        let mut all = Listed { order: order.clone(), ..Listed::default() };
        for seqno in 1..=dice.below(60) {
            let kind = if dice.below(4) == 0 { Kind::Remove } else { Kind::Set };
            let key =
                internal(&vec![b'a' + dice.below(4) as u8; dice.below(4) as usize], trailer(seqno, kind));
            let entry = (key, seqno.to_string().into_bytes());
            let source = dice.below(sources.len() as u64) as usize;
            sources[source].entries.push(entry.clone());
            all.entries.push(entry);
        }
        for list in sources.iter_mut().chain([&mut all]) {
            list.entries.sort_by(|(a, _), (b, _)| order.compare_internal(a, b));
        }
        (sources, all)
    }

    #[test]
    fn a_merge_is_one_sorted_source() {
        for seed in 0..400 {
            let mut dice = Dice(seed);
            let order = if seed % 3 == 0 { Order::Reverse } else { Order::Bytewise };
            let (sources, mut all) = spread(&mut dice, &order);
            let mut merge = Merge::new(order, sources);
            for _ in 0..100 {
                match dice.below(8) {
                    0 => (merge.seek_to_first().unwrap(), all.seek_to_first().unwrap()),
                    1 => (merge.seek_to_last().unwrap(), all.seek_to_last().unwrap()),
                    2 => {
                        let target = internal(b"ab", trailer(dice.below(60), Kind::Set));
                        (merge.seek(&target).unwrap(), all.seek(&target).unwrap())
                    }
                    n if merge.valid() && n % 2 == 0 => (merge.next().unwrap(), all.next().unwrap()),
                    _ if merge.valid() => (merge.prev().unwrap(), all.prev().unwrap()),
                    _ => ((), ()),
                };
                assert_eq!(merge.valid(), all.valid(), "seed {seed}");
                if all.valid() {
                    assert_eq!((merge.key(), merge.value()), (all.key(), all.value()), "seed {seed}");
                    assert_eq!(merge.sources()[merge.current()].key(), all.key(), "seed {seed}");
                }
            }
        }
    }
}
