//! What a store should answer: the version of each key, four bytes each, and whether it is there.

use crate::bench::error::{Error, Result};
use crate::bench::keys::Data;
use crate::bench::replay::Replay;
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The state of a key: its last version above one bit, which says whether it is there. 0: never set.
const THERE: u32 = 1;

/// What was written so far.
///
/// Where one thread works, every answer is known exactly. Where several do, a read must find a version
/// that somebody has begun to write, and a key that nobody removes must be there.
#[derive(Debug)]
pub struct Expected {
    states: Vec<AtomicU32>,
    /// Keys with lower numbers were set once.
    count: AtomicU64,
    /// Those with lower numbers were set before the run began.
    settled: AtomicU64,
    /// Keys that are there, and the bytes of their values.
    live_keys: AtomicU64,
    live_value_bytes: AtomicU64,
    /// What a trace has written.
    replay: Mutex<Replay>,
}

/// How sure an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// One thread works: the answer is known.
    Exact,
    /// Several do; keys are not removed.
    AtLeast,
    /// Several do, and keys may be removed.
    Loose,
}

impl Expected {
    /// Nothing yet; room for so many keys.
    pub fn new(capacity: u64) -> Expected {
        let states = (0..capacity).map(|_| AtomicU32::new(0)).collect();
        Expected {
            states,
            count: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            live_keys: AtomicU64::new(0),
            live_value_bytes: AtomicU64::new(0),
            replay: Mutex::default(),
        }
    }

    /// Room for more keys.
    pub fn reserve(&mut self, capacity: u64) {
        let len = self.states.len().max(capacity as usize);
        self.states.resize_with(len, || AtomicU32::new(0));
    }

    /// How many keys were ever set: those with lower numbers.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// A run begins: all that was set is there.
    pub fn begin(&self) {
        self.settled.store(self.count(), Ordering::Release);
    }

    /// Keys that are there now.
    pub fn live_keys(&self) -> u64 {
        self.live_keys.load(Ordering::Relaxed)
    }

    /// Bytes of the values that are there now.
    pub fn live_value_bytes(&self) -> u64 {
        self.live_value_bytes.load(Ordering::Relaxed)
    }

    /// A key that was never there before; `None` if there is no room for one more.
    pub fn next_new(&self) -> Option<u64> {
        let room = self.states.len() as u64;
        let number = self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < room).then_some(count + 1));
        number.ok()
    }

    /// What a trace has written.
    pub fn replay(&self) -> MutexGuard<'_, Replay> {
        self.replay.lock()
    }

    fn state(&self, number: u64) -> &AtomicU32 {
        &self.states[number as usize]
    }

    /// Whether a key is there; its last version.
    pub fn of(&self, number: u64) -> (bool, u32) {
        let state = self.states.get(number as usize).map_or(0, |state| state.load(Ordering::Acquire));
        (state & THERE == THERE, state >> 1)
    }

    /// The version that the next write of a key has. Call it before the write.
    pub fn set(&self, number: u64, data: &Data) -> u32 {
        let mut before = 0;
        let state = self.state(number).fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            before = state;
            Some((state >> 1).wrapping_add(1) << 1 | THERE)
        });
        debug_assert!(state.is_ok());
        let version = (before >> 1).wrapping_add(1);
        self.forget(number, before, data);
        self.live_keys.fetch_add(1, Ordering::Relaxed);
        self.live_value_bytes.fetch_add(data.value_len(number, version) as u64, Ordering::Relaxed);
        self.count.fetch_max(number + 1, Ordering::AcqRel);
        version
    }

    /// A key is removed. Call it before.
    pub fn remove(&self, number: u64, data: &Data) {
        let before = self.state(number).fetch_and(!THERE, Ordering::AcqRel);
        self.forget(number, before, data);
    }

    fn forget(&self, number: u64, before: u32, data: &Data) {
        if before & THERE == THERE {
            self.live_keys.fetch_sub(1, Ordering::Relaxed);
            let bytes = data.value_len(number, before >> 1) as u64;
            self.live_value_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Holds an answer against what was written: `found`, the value, if there was one.
    pub fn check(
        &self,
        call: &'static str,
        number: u64,
        certainty: Certainty,
        data: &Data,
        found: Option<&[u8]>,
    ) -> Result<()> {
        let (is_there, version) = self.of(number);
        let reason = match (found, certainty) {
            (None, Certainty::Loose) => return Ok(()),
            (None, _) if !is_there => return Ok(()),
            // Another thread has said that it sets it, and may not have done so yet.
            (None, Certainty::AtLeast) if number >= self.settled.load(Ordering::Acquire) => return Ok(()),
            (None, _) => "it is not there, and should be".to_string(),
            // Whoever sets it has said so before.
            (Some(_), Certainty::Exact | Certainty::AtLeast) if !is_there => {
                "it is there, and should not be".to_string()
            }
            (Some(value), _) => match data.version(number, version, value) {
                Ok(found) if found == version => return Ok(()),
                Ok(found) if certainty != Certainty::Exact && found <= version => return Ok(()),
                Err(_) if certainty != Certainty::Exact && data.may_be_of(number, value) => return Ok(()),
                Ok(found) => format!("version {found} came back; the last one is {version}"),
                Err(reason) => reason,
            },
        };
        Err(Error::Wrong { call, key: number.to_string(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::{Certainty, Expected};
    use crate::bench::keys::{Data, Sizes};

    // A key is noted as set before it is set, so that no answer comes too early for the note. In YCSB's D on
    // three threads another one read such a key in between, did not find it, and called the store wrong.
    #[test]
    fn answers_are_held_against_what_was_written() {
        let data = Data::new(Sizes::fixed(16), "12..40".parse().unwrap(), 1).unwrap();
        let expected = Expected::new(3);
        assert_eq!(expected.next_new(), Some(0));
        let mut values = vec![Vec::new(), Vec::new()];
        for value in &mut values {
            let version = expected.set(0, &data);
            data.value(0, version, value);
        }
        let check = |certainty, found: Option<&[u8]>| expected.check("get", 0, certainty, &data, found);
        assert_eq!((expected.live_keys(), expected.live_value_bytes()), (1, values[1].len() as u64));
        check(Certainty::Exact, Some(&values[1])).unwrap();
        assert!(
            check(Certainty::Exact, Some(&values[0])).unwrap_err().to_string().contains("version 1 came")
        );
        check(Certainty::AtLeast, Some(&values[0])).unwrap();
        assert!(check(Certainty::Loose, Some(b"x")).is_err());
        check(Certainty::AtLeast, None).unwrap();
        expected.begin();
        assert!(check(Certainty::AtLeast, None).unwrap_err().to_string().contains("should be"));
        expected.remove(0, &data);
        assert_eq!((expected.live_keys(), expected.live_value_bytes()), (0, 0));
        check(Certainty::Exact, None).unwrap();
        assert!(check(Certainty::Exact, Some(&values[1])).is_err());
        assert_eq!((expected.set(0, &data), expected.next_new()), (3, Some(1)));
        assert_eq!((expected.next_new(), expected.next_new(), expected.count()), (Some(2), None, 3));
    }

    // A value below 12 bytes does not say its version, or not all of it, and was held against the last one: a reader
    // that met the one before called the store wrong. So did `readwhilewriting` with values of 10 bytes, each time.
    #[test]
    fn an_older_version_may_be_too_short_to_say_so() {
        for sizes in ["0", "5", "8", "9", "10", "11", "1..300", "12..40"] {
            let data = Data::new(Sizes::fixed(16), sizes.parse().unwrap(), 1).unwrap();
            let expected = Expected::new(1000);
            for number in 0..1000 {
                let mut values = [Vec::new(), Vec::new(), Vec::new()];
                data.value(number, expected.set(number, &data), &mut values[0]);
                data.value(number, expected.set(number, &data), &mut values[1]);
                data.value(number + 1, 2, &mut values[2]);
                let [first, second, foreign] = &values;
                let check =
                    |certainty, found: &[u8]| expected.check("get", number, certainty, &data, Some(found));
                check(Certainty::AtLeast, first).unwrap();
                check(Certainty::Loose, first).unwrap();
                check(Certainty::Exact, second).unwrap();
                let is_told = first.len() > 8 || first.len() != second.len();
                assert_eq!(check(Certainty::Exact, first).is_err(), is_told, "{sizes}");
                // One byte of a tag may be that of a neighbour's.
                assert!(foreign.len() < 3 || check(Certainty::AtLeast, foreign).is_err(), "{sizes}");
                let longer = [&first[..], b"x"].concat();
                assert!(sizes == "1..300" || check(Certainty::AtLeast, &longer).is_err(), "{sizes}");
            }
        }
    }

    // With two threads a key that is there was never asked whether it should be: a store that had removed nothing passed.
    #[test]
    fn a_removed_key_that_comes_back_is_wrong_on_several_threads_too() {
        let data = Data::new(Sizes::fixed(16), Sizes::fixed(100), 1).unwrap();
        let expected = Expected::new(1);
        let mut value = Vec::new();
        data.value(0, expected.set(0, &data), &mut value);
        expected.remove(0, &data);
        expected.begin();
        let check = |certainty| expected.check("get", 0, certainty, &data, Some(&value));
        assert!(check(Certainty::AtLeast).unwrap_err().to_string().contains("should not be"));
        assert!(check(Certainty::Exact).is_err());
        check(Certainty::Loose).unwrap();
    }
}
