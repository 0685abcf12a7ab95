//! Linearizability: whether what several threads were told could have happened one step at a time.
//!
//! A call takes effect at one moment between its beginning and its end, and calls of different threads may
//! overlap. A history is linearizable if there is an order of its calls that respects who ended before who
//! began, and in which each answer is right. (Herlihy and Wing, 1990.)
//!
//! [`Register`] decides that for one key, which is enough: a history is linearizable if each of its objects
//! is. It goes through the beginnings and ends in the order of time, and keeps every pair of *which of the
//! running calls have taken effect* and *what the key holds then* that explains all answers so far: the
//! search of Wing and Gong with Lowe's memo, done just in time. Few calls run at once, so there are few
//! such pairs; where none is left, no order explains the history. When nothing runs, only the possible
//! values are left, so that a history of any length takes no more memory than a moment of it.
//!
//! Scans and snapshots read many keys at once; [`cuts`] judges those. [`workload`] makes histories with a
//! real engine.

pub mod cuts;
pub mod workload;

use std::collections::BTreeSet;

/// What a key holds, as a number that stands for the value: 0 is nothing.
pub type Held = u64;

/// What was asked of a key, and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A get, and what it found.
    Get(Held),
    /// A set, or a blind removal (0).
    Put(Held),
    /// A swap: the new, and what was told as the old.
    Swap(Held, Held),
    /// A removal, and whether it was told that something was there.
    Remove(bool),
}

impl Call {
    /// What the key holds after the call took effect on `held`; `None` if the answer would be wrong.
    fn effect(self, held: Held) -> Option<Held> {
        match self {
            Call::Get(found) => (found == held).then_some(held),
            Call::Put(new) => Some(new),
            Call::Swap(new, old) => (old == held).then_some(new),
            Call::Remove(was_there) => (was_there == (held != 0)).then_some(0),
        }
    }
}

/// A call with its thread, and the moments at which it began and ended. No two moments are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The thread: below [`MOST_THREADS`]. Its calls do not overlap.
    pub thread: usize,
    /// When it was asked.
    pub begin: u64,
    /// When it was answered.
    pub end: u64,
    /// What, and how it was answered.
    pub call: Call,
}

/// Threads that can call at once.
pub const MOST_THREADS: usize = 16;

/// One of the ways in which the calls so far may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    /// The threads whose running call has taken effect: a bit each.
    done: u16,
    held: Held,
}

/// Judges the calls of one key, part by part. Between parts nothing runs.
#[derive(Clone, Debug)]
pub struct Register {
    /// What the key may hold.
    held: BTreeSet<Held>,
}

impl Register {
    /// A key that holds this.
    pub fn new(held: Held) -> Register {
        Register { held: [held].into() }
    }

    /// Judges the next calls, in any order. If they can not have happened, the one at whose end that showed.
    ///
    /// # Panics
    /// If a thread is not below [`MOST_THREADS`].
    pub fn check(&mut self, calls: &[Timed]) -> Result<(), Timed> {
        let mut moments: Vec<(u64, usize, bool)> = Vec::with_capacity(2 * calls.len());
        for (at, timed) in calls.iter().enumerate() {
            assert!(timed.thread < MOST_THREADS, "thread {} of {MOST_THREADS}", timed.thread);
            moments.extend([(timed.begin, at, false), (timed.end, at, true)]);
        }
        moments.sort_unstable();
        let mut running: [Option<Call>; MOST_THREADS] = [None; MOST_THREADS];
        let mut ways: BTreeSet<Way> = self.held.iter().map(|&held| Way { done: 0, held }).collect();
        for (_, at, is_end) in moments {
            let Timed { thread, call, .. } = calls[at];
            if !is_end {
                running[thread] = Some(call);
                continue;
            }
            ways = ways_with(&ways, &running, thread);
            if ways.is_empty() {
                return Err(calls[at]);
            }
            running[thread] = None;
        }
        self.held = ways.into_iter().map(|way| way.held).collect();
        Ok(())
    }
}

/// The ways in which the call of this thread has taken effect, after any others that run; the thread is
/// then free again.
fn ways_with(ways: &BTreeSet<Way>, running: &[Option<Call>; MOST_THREADS], thread: usize) -> BTreeSet<Way> {
    let bit = |thread: usize| 1u16 << thread;
    let mut result = BTreeSet::new();
    let mut seen = ways.clone();
    let mut left: Vec<Way> = ways.iter().copied().collect();
    while let Some(way) = left.pop() {
        if way.done & bit(thread) != 0 {
            result.insert(Way { done: way.done & !bit(thread), ..way });
            continue;
        }
        for (other, call) in running.iter().enumerate() {
            let Some(call) = call.filter(|_| way.done & bit(other) == 0) else { continue };
            let Some(held) = call.effect(way.held) else { continue };
            let next = Way { done: way.done | bit(other), held };
            if seen.insert(next) {
                left.push(next);
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::Call::{Get, Put, Remove, Swap};
    use super::{Call, Register, Timed};
    use crate::dice::Dice;

    /// `thread begin..end call`, in a few words.
    fn timed((thread, begin, end, call): (usize, u64, u64, Call)) -> Timed {
        Timed { thread, begin, end, call }
    }

    fn is_legal(held: u64, calls: &[(usize, u64, u64, Call)]) -> bool {
        let calls: Vec<_> = calls.iter().copied().map(timed).collect();
        Register::new(held).check(&calls).is_ok()
    }

    #[test]
    fn what_can_not_have_happened_is_refused() {
        let stale_read = [(0, 1, 2, Put(1)), (0, 3, 4, Put(2)), (1, 5, 6, Get(1))];
        let never_written = [(0, 1, 2, Put(1)), (1, 3, 4, Get(9))];
        let from_the_future = [(1, 1, 2, Get(1)), (0, 3, 4, Put(1))];
        let lost_update = [(0, 1, 4, Swap(1, 0)), (1, 2, 5, Swap(2, 0))];
        let forgotten = [(0, 1, 2, Put(1)), (1, 3, 4, Get(0))];
        let removed_twice = [(0, 1, 2, Put(1)), (1, 3, 6, Remove(true)), (2, 4, 5, Remove(true))];
        let there_and_back = [(0, 1, 8, Put(1)), (1, 2, 3, Get(1)), (1, 4, 5, Get(0))];
        let two_orders = [(0, 1, 10, Put(1)), (1, 2, 11, Put(2)), (2, 12, 13, Get(1)), (3, 14, 15, Get(2))];
        let swap_of_a_ghost = [(0, 1, 2, Put(1)), (1, 3, 4, Swap(2, 7))];
        let all: [(&str, &[_]); 9] = [
            ("a stale read", &stale_read),
            ("a value that nobody wrote", &never_written),
            ("a value before it was written", &from_the_future),
            ("a lost update", &lost_update),
            ("a forgotten write", &forgotten),
            ("one thing removed twice", &removed_twice),
            ("a write that comes and goes", &there_and_back),
            ("two reads that see two orders", &two_orders),
            ("a swap that tells what was never there", &swap_of_a_ghost),
        ];
        for (what, calls) in all {
            assert!(!is_legal(0, calls), "{what}");
        }
    }

    #[test]
    fn what_can_have_happened_is_accepted() {
        let read_beside_a_write = [(0, 1, 6, Put(1)), (1, 2, 3, Get(0)), (1, 4, 5, Get(1))];
        let later_write_first = [(0, 1, 6, Put(1)), (1, 2, 5, Put(2)), (2, 7, 8, Get(1))];
        let earlier_write_first = [(0, 1, 6, Put(1)), (1, 2, 5, Put(2)), (2, 7, 8, Get(2))];
        let swaps_in_a_row = [(0, 1, 9, Swap(1, 3)), (1, 2, 8, Swap(2, 0)), (2, 3, 7, Swap(3, 2))];
        let removed_once = [(0, 1, 2, Put(1)), (1, 3, 6, Remove(false)), (2, 4, 5, Remove(true))];
        let seen_before_it_returns =
            [(0, 1, 9, Put(1)), (1, 2, 3, Get(1)), (2, 4, 5, Swap(2, 1)), (1, 6, 7, Get(2))];
        let all: [&[_]; 6] = [
            &read_beside_a_write,
            &later_write_first,
            &earlier_write_first,
            &swaps_in_a_row,
            &removed_once,
            &seen_before_it_returns,
        ];
        for calls in all {
            assert!(is_legal(0, calls), "{calls:?}");
        }
    }

    #[test]
    fn what_a_part_leaves_open_the_next_one_decides() {
        let race = [(0, 1, 4, Put(1)), (1, 2, 3, Put(2))].map(timed);
        for (found, again, is_legal) in [(1, 1, true), (2, 2, true), (3, 3, false), (1, 2, false)] {
            let mut register = Register::new(0);
            register.check(&race).unwrap();
            let reads = [(0, 5, 6, Get(found)), (0, 7, 8, Get(again))].map(timed);
            assert_eq!(register.check(&reads).is_ok(), is_legal, "{found} {again}");
        }
    }

    /// Calls that take effect at a moment of their own between begin and end are always accepted; with one
    /// answer changed to what no call can have told, never.
    #[test]
    fn random_histories_are_judged_rightly() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let mut calls = random_history(&mut dice);
            assert_eq!(Register::new(0).check(&calls), Ok(()), "seed {seed}: {calls:?}");
            let gets: Vec<_> = (0..calls.len()).filter(|&at| matches!(calls[at].call, Get(_))).collect();
            if gets.is_empty() {
                continue;
            }
            calls[gets[dice.below(gets.len() as u64) as usize]].call = Get(1 << 40);
            assert!(Register::new(0).check(&calls).is_err(), "seed {seed}");
        }
    }

    fn random_history(dice: &mut Dice) -> Vec<Timed> {
        // Per thread: calls with begin, effect, end in a row, on a common clock.
        let mut moments: Vec<(u64, usize, usize)> = Vec::new();
        let mut calls: Vec<Timed> = Vec::new();
        for thread in 0..4 {
            let mut now = dice.below(10);
            for _ in 0..12 {
                let [begin, effect, end] = [now + 1, now + 2 + dice.below(9), now + 12 + dice.below(9)];
                moments.push((effect, thread, calls.len()));
                let unique = |moment: u64| moment * 8 + thread as u64;
                calls.push(timed((thread, unique(begin), unique(end), Get(0))));
                now = end + dice.below(4);
            }
        }
        moments.sort_unstable();
        let (mut held, mut next) = (0, 1);
        for (_, _, at) in moments {
            let (call, after) = match dice.below(4) {
                0 => (Put(next), next),
                1 => (Swap(next, held), next),
                2 => (Remove(held != 0), 0),
                _ => (Get(held), held),
            };
            (calls[at].call, held, next) = (call, after, next + 1);
        }
        calls
    }
}
