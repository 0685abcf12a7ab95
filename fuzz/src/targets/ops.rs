//! Sequences of calls on both engines, held against a sorted map: every answer must be the map's.
//!
//! One engine after the other gets the same calls. A kill keeps all that was acknowledged; a power cut keeps a
//! prefix of it, with everything that was acknowledged as durable, and the map goes on from there.

use super::disk::{self, DB, Pairs};
use super::input::Input;
use super::power::after_power_cut;
use super::range::range;
use super::stores::{self, ENGINES};
use kvs::engine::batch::WriteBatch;
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, Pairs as PairSource, Snapshot};
use kvs::error::Result;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// What a store should hold.
type Model = BTreeMap<Vec<u8>, Rc<[u8]>>;

/// Calls in one input, at most.
const MOST_CALLS: usize = 200;

/// Snapshots that are held at a time.
const SNAPSHOTS: usize = 3;

/// `choice:u8 call*`. What is said of a disk in memory never fails.
pub(crate) fn run(data: &[u8]) {
    for kind in ENGINES {
        let mut input = Input::new(data);
        let choice = input.byte();
        let schedule = if choice & 1 == 1 { Schedule::Inline } else { Schedule::Manual };
        let mut life = Life::begin(kind, schedule).expect(FINE);
        for _ in 0..MOST_CALLS {
            if input.is_empty() {
                break;
            }
            life.call(&mut input).expect(FINE);
        }
        life.look(&KeyRange::all()).expect(FINE);
        life.reopen(true).expect(FINE);
        life.look(&KeyRange::all()).expect(FINE);
    }
}

const FINE: &str = "a disk in memory does not fail";

/// A store, and what it should hold: now, at each moment since the last that is surely durable, and in
/// each snapshot.
struct Life {
    kind: EngineKind,
    schedule: Schedule,
    disk: SimDisk,
    store: Option<Arc<dyn KvsEngine>>,
    now: Model,
    /// From the last state that a power cut can leave to the present one.
    states: Vec<Model>,
    snapshots: [Option<(Snapshot, Model)>; SNAPSHOTS],
}

impl Life {
    fn begin(kind: EngineKind, schedule: Schedule) -> Result<Life> {
        let disk = SimDisk::new();
        let store = stores::open(kind, &disk, Path::new(DB), Access::Create, schedule)?;
        let snapshots = [const { None }; SNAPSHOTS];
        let (now, states) = (Model::new(), vec![Model::new()]);
        Ok(Life { kind, schedule, disk, store: Some(store), now, states, snapshots })
    }

    fn store(&self) -> &dyn KvsEngine {
        self.store.as_deref().expect("it is open but while it is opened again")
    }

    fn call(&mut self, input: &mut Input<'_>) -> Result<()> {
        match input.below(24) {
            0..=4 => {
                let (key, value) = (key(input), value(input));
                self.store().set(&key, &value)?;
                self.now.insert(key, value);
                self.wrote(false);
            }
            5 => {
                let key = key(input);
                assert_eq!(self.store().remove(&key)?, self.now.remove(&key).is_some());
                self.wrote(false);
            }
            6 | 7 => self.swap(input)?,
            8 | 9 => self.batch(input)?,
            10 | 11 => {
                let key = key(input);
                let found = self.store().get(&key)?;
                assert_eq!(found.as_deref(), self.now.get(&key).map(|value| &value[..]), "get {key:?}");
            }
            12 => self.look(&range(input))?,
            13 => self.walk(input)?,
            14 => {
                let snapshot = self.store().snapshot()?;
                self.snapshots[input.below(SNAPSHOTS)] = Some((snapshot, self.now.clone()));
            }
            15 => {
                let slot = input.below(SNAPSHOTS);
                let range = range(input);
                match self.snapshots[slot].take() {
                    Some((snapshot, model)) if input.byte() & 1 == 1 => {
                        same(&disk::pairs(&snapshot, range.clone())?, &model, &range);
                        self.snapshots[slot] = Some((snapshot, model));
                    }
                    _ => {}
                }
            }
            16 => {
                self.store().flush()?;
                self.durable();
            }
            17 => self.store().compact_range(&range(input))?,
            18 => self.store().settle()?,
            19 => {
                self.store().sync()?;
                self.durable();
            }
            20 => self.load(input)?,
            21 => self.reopen(input.byte() & 1 == 1)?,
            22 => self.power_cut(input)?,
            _ => self.checkpoint()?,
        }
        Ok(())
    }

    /// A write was acknowledged.
    fn wrote(&mut self, is_durable: bool) {
        self.states.push(self.now.clone());
        if is_durable {
            self.durable();
        }
    }

    fn durable(&mut self) {
        self.states = vec![self.now.clone()];
    }

    fn swap(&mut self, input: &mut Input<'_>) -> Result<()> {
        let key = key(input);
        let new = (input.byte() & 1 == 1).then(|| value(input));
        let old = self.store().swap(&key, new.as_deref())?;
        let expected = match new {
            Some(new) => self.now.insert(key, new),
            None => self.now.remove(&key),
        };
        assert_eq!(old.as_deref(), expected.as_deref(), "swap");
        self.wrote(false);
        Ok(())
    }

    fn batch(&mut self, input: &mut Input<'_>) -> Result<()> {
        let is_durable = input.byte() & 1 == 1;
        let mut batch = WriteBatch::new();
        for _ in 0..input.below(6) {
            let key = key(input);
            if input.byte() & 3 == 0 {
                batch.remove(&key);
                self.now.remove(&key);
            } else {
                let value = value(input);
                batch.set(&key, &value);
                self.now.insert(key, value);
            }
        }
        let options = if is_durable { WriteOptions::durable() } else { WriteOptions::default() };
        // A batch of nothing is not written, and waits for nothing.
        let is_durable = is_durable && !batch.is_empty();
        self.store().write(batch, &options)?;
        self.wrote(is_durable);
        Ok(())
    }

    /// Pairs in ascending order; or not, and then nothing is loaded.
    fn load(&mut self, input: &mut Input<'_>) -> Result<()> {
        let mut pairs: Pairs = Vec::new();
        for _ in 0..input.below(8) {
            pairs.push((key(input), value(input).to_vec()));
        }
        let is_sorted = |pairs: &Pairs| pairs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if input.byte() & 7 > 0 {
            pairs.sort();
            pairs.dedup_by(|a, b| a.0 == b.0);
        }
        let loaded = self.store().load_sorted(&mut List { pairs: &pairs, next: 0 });
        if !is_sorted(&pairs) {
            assert!(loaded.is_err());
            return Ok(());
        }
        assert_eq!(loaded?, pairs.len() as u64);
        self.now.extend(pairs.into_iter().map(|(key, value)| (key, value.into())));
        self.wrote(false);
        Ok(())
    }

    fn look(&self, range: &KeyRange) -> Result<()> {
        same(&disk::pairs(self.store(), range.clone())?, &self.now, range);
        let back = range.clone().reverse();
        same(&disk::pairs(self.store(), back.clone())?, &self.now, &back);
        Ok(())
    }

    /// A cursor moves about while the store is written to, and sees nothing of that.
    fn walk(&mut self, input: &mut Input<'_>) -> Result<()> {
        let range = range(input);
        let store = self.store.clone().expect("it is open");
        let mut cursor = store.cursor(range.clone())?;
        let held: Vec<(Vec<u8>, Rc<[u8]>)> = self
            .now
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        // Where the cursor should stand; behind the last pair: nowhere.
        let mut at = held.len();
        for _ in 0..input.below(24) {
            match input.below(8) {
                0 => {
                    cursor.seek_to_first()?;
                    at = 0;
                }
                1 => {
                    cursor.seek_to_last()?;
                    at = held.len().wrapping_sub(1).min(held.len());
                }
                2 => {
                    let key = key(input);
                    cursor.seek(&key)?;
                    at = held.partition_point(|(held, _)| *held < key);
                }
                3 | 4 => {
                    cursor.next()?;
                    at = (at + 1).min(held.len());
                }
                5 | 6 => {
                    cursor.prev()?;
                    at = if at == held.len() { at } else { at.checked_sub(1).unwrap_or(held.len()) };
                }
                _ => {
                    let (key, value) = (key(input), value(input));
                    self.store().set(&key, &value)?;
                    self.now.insert(key, value);
                    self.wrote(false);
                }
            }
            stands(&mut *cursor, held.get(at))?;
        }
        Ok(())
    }

    /// Opens the store again: after a close, or after a kill.
    fn reopen(&mut self, is_clean: bool) -> Result<()> {
        self.snapshots = [const { None }; SNAPSHOTS];
        let killed = self.disk.image();
        self.store = None;
        if !is_clean {
            self.disk = SimDisk::from_image(&killed, Record::On);
        } else {
            // What was closed is taken over as it is: a new recording is shorter.
            self.disk.record(Record::On);
        }
        self.store = Some(stores::open(self.kind, &self.disk, Path::new(DB), Access::Write, self.schedule)?);
        // Opening makes durable what it finds.
        self.durable();
        Ok(())
    }

    /// The power goes: of what was not synced a part is there.
    fn power_cut(&mut self, input: &mut Input<'_>) -> Result<()> {
        self.snapshots = [const { None }; SNAPSHOTS];
        let image = after_power_cut(&self.disk.recording(), input);
        self.store = None;
        self.disk = SimDisk::from_image(&image, Record::On);
        let store = stores::open(self.kind, &self.disk, Path::new(DB), Access::Write, self.schedule)?;
        let found = disk::pairs(&*store, KeyRange::all())?;
        let is_it = |state: &Model| {
            state.iter().map(|(k, v)| (&k[..], &v[..])).eq(found.iter().map(|(k, v)| (&k[..], &v[..])))
        };
        let state = self.states.iter().rev().find(|state| is_it(state)).cloned();
        self.now = state.unwrap_or_else(|| {
            panic!("{}: a power cut left no prefix: {found:?}, of {:?}", self.kind, self.states)
        });
        self.store = Some(store);
        self.durable();
        Ok(())
    }

    /// A copy is a store with the same pairs.
    fn checkpoint(&mut self) -> Result<()> {
        let copy = Path::new("/copy");
        let disk = SimDisk::from_image(&self.disk.image(), Record::Off);
        let store = stores::open(self.kind, &disk, Path::new(DB), Access::Write, self.schedule)?;
        store.checkpoint(copy)?;
        drop(store);
        let copied = stores::open(self.kind, &disk, copy, Access::Read, self.schedule)?;
        same(&disk::pairs(&*copied, KeyRange::all())?, &self.now, &KeyRange::all());
        Ok(())
    }
}

/// Whether a scan of this range found what it should.
fn same(found: &Pairs, model: &Model, range: &KeyRange) {
    let held = model.iter().filter(|(key, _)| range.contains(key)).map(|(k, v)| (&k[..], &v[..]));
    let mut held: Vec<_> = held.collect();
    if range.direction == kvs::engine::range::Direction::Reverse {
        held.reverse();
    }
    assert!(
        held.iter().copied().eq(found.iter().map(|(k, v)| (&k[..], &v[..]))),
        "{range:?}: {found:?}, not {held:?}"
    );
}

fn stands(cursor: &mut dyn Cursor, pair: Option<&(Vec<u8>, Rc<[u8]>)>) -> Result<()> {
    assert_eq!(cursor.valid(), pair.is_some());
    if let Some((key, value)) = pair {
        assert_eq!(cursor.key(), key);
        assert_eq!(cursor.value()?, &value[..]);
    }
    Ok(())
}

/// Pairs in a list.
struct List<'a> {
    pairs: &'a Pairs,
    next: usize,
}

impl PairSource for List<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let pair = self.pairs.get(self.next);
        self.next += 1;
        Ok(pair.map(|(key, value)| (&key[..], &value[..])))
    }
}

/// Few keys, so that they meet often; some begin alike, some are odd.
fn key(input: &mut Input<'_>) -> Vec<u8> {
    let odd: [&[u8]; 8] = [b"", b"a\0", b"aa", b"ab", b"\xff", b"\xff\xff", b"key-long-1", b"key-long-2"];
    match input.byte() {
        choice @ 0..8 => odd[usize::from(choice)].to_vec(),
        choice @ 8..240 => vec![b'a' + choice % 16],
        _ => input.bytes().to_vec(),
    }
}

/// From nothing to more than a segment or a memtable holds.
fn value(input: &mut Input<'_>) -> Rc<[u8]> {
    let choice = input.byte();
    let len = [0, 1, 2, 3, 9, 20, 60, 60, 100, 300, 1000, 5000][usize::from(choice & 15) % 12];
    vec![choice; len].into()
}

/// Calls of every kind, some after each other.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        (0..24u8).map(|call| vec![1, 0, 20, 9, call, 21, 5, 1, 1, 22, 0, 12, 0]).collect();
    for choice in [0, 1] {
        let mut long = vec![choice];
        for i in 0..60u8 {
            long.extend([i % 24, i.wrapping_mul(7), i, i.wrapping_mul(3)]);
        }
        seeds.push(long);
        let mut large = vec![choice];
        for i in 0..40u8 {
            large.extend([0, 8 + i % 16, i & 0xf0 | 10]);
        }
        seeds.push([&large[..], &[17, 0, 21, 1, 22, 1, 18, 19, 23]].concat());
    }
    seeds
}
