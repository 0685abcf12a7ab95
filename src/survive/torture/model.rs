//! What a store must hold and may hold, whatever fails: the other side of every comparison.

use crate::engine::range::{Direction, KeyRange};
use crate::survive::script::{Command, Move, Step};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// What a store holds.
pub type Map = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// What is written as one.
type Change = Vec<(Vec<u8>, Option<Arc<[u8]>>)>;

/// A store as it must be.
///
/// 1. `now` is what every read sees: all that was acknowledged, and nothing else.
/// 2. `durable`, and then `pending` in order, make `now`. After a power cut `durable` and a prefix of
///    `pending` is there.
/// 3. A write that failed is `unsure`: no read sees it while the process lives; whether it happened shows
///    when the store is opened again. There is at most one, for after it the store takes no more.
#[derive(Debug, Default)]
pub struct Model {
    /// What is there.
    pub now: Arc<Map>,
    durable: Arc<Map>,
    pending: Vec<Change>,
    unsure: Option<Change>,
    /// What each snapshot that is held shows.
    pub snapshots: BTreeMap<String, Arc<Map>>,
    /// What each checkpoint that was made holds.
    pub checkpoints: BTreeMap<String, Arc<Map>>,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was acknowledged.
    Done,
    /// It was acknowledged, and it is on the device with all before it.
    Durable,
    /// It failed, and may have happened.
    Unsure,
}

impl Model {
    /// A command that writes, as it would change the store.
    pub fn change(&mut self, command: &Command, fate: Fate) {
        let set = |key: &Vec<u8>, value: &Vec<u8>| (key.clone(), Some(Arc::from(&value[..])));
        let change = match command {
            Command::Set(_, key, value) => vec![set(key, value)],
            Command::Remove(_, key) => vec![(key.clone(), None)],
            Command::Swap(key, value) => vec![(key.clone(), value.as_ref().map(|value| value[..].into()))],
            Command::Batch(_, steps) => steps.iter().map(step).collect(),
            Command::Load(pairs) => pairs.iter().map(|(key, value)| set(key, value)).collect(),
            _ => Vec::new(),
        };
        self.apply(change, fate);
    }

    /// One step, written beside a cursor.
    pub fn write(&mut self, one: &Step, fate: Fate) {
        self.apply(vec![step(one)], fate);
    }

    fn apply(&mut self, change: Change, fate: Fate) {
        if fate == Fate::Unsure {
            self.unsure = Some(change);
            return;
        }
        put(Arc::make_mut(&mut self.now), &change);
        self.pending.push(change);
        if fate == Fate::Durable {
            self.settle();
        }
    }

    /// All that was acknowledged is on the device.
    pub fn settle(&mut self) {
        self.durable = self.now.clone();
        self.pending.clear();
    }

    /// The store was opened again after a clean end or a kill, and holds this. Whether it may.
    pub fn reopened(&mut self, found: &Map) -> bool {
        self.snapshots.clear();
        let unsure = self.unsure.take();
        if *self.now == *found {
            return true;
        }
        let Some(unsure) = unsure else { return false };
        self.apply(unsure, Fate::Done);
        *self.now == *found
    }

    /// The store was opened again after a power cut, and holds this: how many changes it has kept of how
    /// many that were not synced; `None` if it must not hold this.
    pub fn recovered(&mut self, found: &Map) -> Option<(usize, usize)> {
        self.snapshots.clear();
        let mut changes = std::mem::take(&mut self.pending);
        changes.extend(self.unsure.take());
        let mut at = (*self.durable).clone();
        let mut kept = (at == *found).then_some(0);
        for (number, change) in changes.iter().enumerate() {
            put(&mut at, change);
            if at.len() == found.len() && at == *found {
                kept = Some(number + 1);
            }
        }
        self.now = Arc::new(found.clone());
        self.durable = self.now.clone();
        kept.map(|kept| (kept, changes.len()))
    }

    /// What a read sees: the present, or a snapshot.
    pub fn seen(&self, snapshot: Option<&String>) -> Option<&Arc<Map>> {
        match snapshot {
            None => Some(&self.now),
            Some(name) => self.snapshots.get(name),
        }
    }
}

fn step(step: &Step) -> (Vec<u8>, Option<Arc<[u8]>>) {
    match step {
        Step::Set(key, value) => (key.clone(), Some(value[..].into())),
        Step::Remove(key) => (key.clone(), None),
    }
}

fn put(map: &mut Map, change: &Change) {
    for (key, value) in change {
        match value {
            Some(value) => _ = map.insert(key.clone(), value.clone()),
            None => _ = map.remove(key),
        }
    }
}

/// A key and its value.
pub type Entry<'a> = (&'a Vec<u8>, &'a Arc<[u8]>);

/// What a scan finds.
pub fn scan<'a>(map: &'a Map, range: &'a KeyRange) -> Box<dyn Iterator<Item = Entry<'a>> + 'a> {
    match (range.bounds(), range.direction) {
        (None, _) => Box::new(std::iter::empty()),
        (Some(bounds), Direction::Forward) => Box::new(map.range::<[u8], _>(bounds)),
        (Some(bounds), Direction::Reverse) => Box::new(map.range::<[u8], _>(bounds).rev()),
    }
}

/// Where a cursor stands after each move, as the keys were when it was made.
pub fn walk<'a>(map: &'a Map, range: &KeyRange, moves: &[Move]) -> Vec<Option<Entry<'a>>> {
    let range = KeyRange { direction: Direction::Forward, ..range.clone() };
    let mut at: Option<Entry<'a>> = None;
    let mut stands = Vec::with_capacity(moves.len());
    for step in moves {
        at = match (step, at) {
            (Move::First, _) => end(map, range.clone()),
            (Move::Last, _) => end(map, range.clone().reverse()),
            (Move::Seek(key), _) => end(map, KeyRange::of::<&[u8]>(&key[..]..).intersect(range.clone())),
            (Move::Next, Some((key, _))) => {
                end(map, KeyRange::of::<Vec<u8>>((Excluded(key), Unbounded)).intersect(range.clone()))
            }
            (Move::Prev, Some((key, _))) => {
                end(map, KeyRange::of::<Vec<u8>>(..key).reverse().intersect(range.clone()))
            }
            (_, at) => at,
        };
        stands.push(at);
    }
    stands
}

/// The first key of the range, in its direction.
fn end(map: &Map, range: KeyRange) -> Option<Entry<'_>> {
    let bounds = range.bounds()?;
    match range.direction {
        Direction::Forward => map.range::<[u8], _>(bounds).next(),
        Direction::Reverse => map.range::<[u8], _>(bounds).next_back(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Map, Model};
    use crate::survive::script::{Ack, Command};

    fn set(key: &str) -> Command {
        Command::Set(Ack::Usual, key.into(), b"v".to_vec())
    }

    fn map(keys: &[&str]) -> Map {
        keys.iter().map(|key| (key.as_bytes().to_vec(), b"v"[..].into())).collect()
    }

    fn model() -> Model {
        let mut model = Model::default();
        model.change(&set("a"), Fate::Durable);
        model.change(&set("b"), Fate::Done);
        model.change(&set("c"), Fate::Done);
        model.change(&set("d"), Fate::Unsure);
        model
    }

    #[test]
    fn a_kill_leaves_all_that_was_acknowledged_and_perhaps_what_failed() {
        assert!(model().reopened(&map(&["a", "b", "c"])));
        assert!(model().reopened(&map(&["a", "b", "c", "d"])));
        assert!(!model().reopened(&map(&["a", "b"])));
        assert!(!model().reopened(&map(&["a", "b", "d"])));
    }

    #[test]
    fn a_power_cut_leaves_a_prefix_from_what_was_synced_on() {
        let prefixes: [&[&str]; 4] = [&["a"], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d"]];
        for (kept, prefix) in prefixes.iter().enumerate() {
            assert_eq!(model().recovered(&map(prefix)), Some((kept, 3)));
        }
        let others: [&[&str]; 4] = [&[], &["b"], &["a", "c"], &["a", "b", "d"]];
        for wrong in others {
            assert_eq!(model().recovered(&map(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_a_second_process_found_may_still_be_lost() {
        let mut model = model();
        assert!(model.reopened(&map(&["a", "b", "c", "d"])));
        model.change(&set("e"), Fate::Done);
        assert_eq!(model.recovered(&map(&["a", "b"])), Some((1, 4)));
        assert_eq!(model.recovered(&map(&["a", "b"])), Some((0, 0)), "what survived is durable");
    }
}
