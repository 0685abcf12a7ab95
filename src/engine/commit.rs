//! Group commit: writers that come together are committed together.
//!
//! The first writer to come leads: it commits its own request while those who come later queue up.
//! When it is done it hands the lead to the first in the queue, who commits all that wait as one
//! group: one append, one sync. So the slower the disk, the larger the groups, and eight writers who
//! sync share nearly all their syncs. LevelDB's writer queue works like this.
//!
//! Everything that a leader does is serial with all other leaders: this is where an engine decides
//! what a conditional write finds.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::hint::spin_loop;
use crate::sync::{Condvar, Mutex};
use std::sync::Arc;

/// How often a follower looks before it sleeps: a commit without a sync is over sooner than a thread
/// falls asleep and is woken.
const SPINS: u32 = if cfg!(shuttle) { 2 } else { 200 };

/// The most requests of one group, so that the first does not wait for ever longer queues.
const MAX_GROUP: usize = 128;

/// A group takes nobody else when it has so many bytes: it is in memory as a whole, twice.
const MAX_GROUP_BYTES: usize = 64 << 20;

/// The queue of writers. `R` is a request with room for its outcome; one must be able to tell by it
/// that its leader died.
#[derive(Debug)]
pub struct Commit<R> {
    queue: Mutex<Queue<R>>,
    /// How many bytes a request has.
    weigh: fn(&R) -> usize,
}

#[derive(Debug)]
struct Queue<R> {
    led: bool,
    waiting: std::collections::VecDeque<Arc<Seat<R>>>,
}

/// Where a follower waits.
#[derive(Debug)]
struct Seat<R> {
    turn: Mutex<Turn<R>>,
    changed: Condvar,
    /// Set with the turn, for those who look without the lock.
    ready: AtomicBool,
}

#[derive(Debug)]
enum Turn<R> {
    Waiting(R),
    /// The leader has the request.
    Taken,
    Lead(R),
    Done(R),
}

impl<R> Commit<R> {
    /// Nobody waits. `weigh` says how many bytes a request has.
    pub fn new(weigh: fn(&R) -> usize) -> Commit<R> {
        Commit { queue: Mutex::new(Queue { led: false, waiting: Default::default() }), weigh }
    }

    /// Has `request` committed, by this thread or another, and gives it back with its outcome.
    /// `lead` commits a group, in order; it never runs twice at a time.
    #[inline]
    pub fn submit(&self, request: R, lead: impl FnOnce(&mut [R])) -> R {
        let mut queue = self.queue.lock();
        if !queue.led {
            queue.led = true;
            drop(queue);
            // The usual case: alone. No queue, no allocation.
            let mut group = Group { commit: self, requests: Requests::One(request), seats: Vec::new() };
            lead(group.requests.as_mut_slice());
            return group.finish();
        }
        let seat = Arc::new(Seat::new(request));
        queue.waiting.push_back(seat.clone());
        drop(queue);
        match seat.wait() {
            Ok(done) => done,
            Err(request) => {
                let mut group = self.gather(request);
                lead(group.requests.as_mut_slice());
                group.finish()
            }
        }
    }

    /// The new leader's group: its own request first, then those that wait.
    fn gather(&self, request: R) -> Group<'_, R> {
        let mut bytes = (self.weigh)(&request);
        let (mut requests, mut seats) = (vec![request], Vec::new());
        let mut queue = self.queue.lock();
        while requests.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES {
            let Some(seat) = queue.waiting.pop_front() else { break };
            let turn = std::mem::replace(&mut *seat.turn.lock(), Turn::Taken);
            if let Turn::Waiting(request) = turn {
                bytes += (self.weigh)(&request);
                requests.push(request);
                seats.push(seat);
            }
        }
        drop(queue);
        Group { commit: self, requests: Requests::Many(requests), seats }
    }

    /// Hands the lead on, or leaves the place empty.
    fn hand_on(&self) {
        let mut queue = self.queue.lock();
        let Some(next) = queue.waiting.pop_front() else {
            queue.led = false;
            return;
        };
        drop(queue);
        next.turn(|turn| match turn {
            Turn::Waiting(request) => Turn::Lead(request),
            other => other,
        });
    }
}

/// One request, or the group that a queue became.
enum Requests<R> {
    One(R),
    Many(Vec<R>),
}

impl<R> Requests<R> {
    fn as_mut_slice(&mut self) -> &mut [R] {
        match self {
            Requests::One(request) => std::slice::from_mut(request),
            Requests::Many(requests) => requests,
        }
    }
}

/// A group that is being committed. However it ends, by a panic too, the others get their requests
/// back and somebody leads on.
struct Group<'a, R> {
    commit: &'a Commit<R>,
    requests: Requests<R>,
    /// Of all but the leader, in the order of the requests.
    seats: Vec<Arc<Seat<R>>>,
}

impl<R> Group<'_, R> {
    fn finish(mut self) -> R {
        match std::mem::replace(&mut self.requests, Requests::Many(Vec::new())) {
            // Dropping `self` hands the lead on.
            Requests::One(own) => own,
            Requests::Many(mut requests) => {
                let own = requests.remove(0);
                self.release(requests);
                own
            }
        }
    }

    fn release(&mut self, requests: Vec<R>) {
        for (seat, request) in self.seats.drain(..).zip(requests) {
            seat.turn(|_| Turn::Done(request));
        }
    }
}

impl<R> Drop for Group<'_, R> {
    fn drop(&mut self) {
        // Unwinding: the requests are still here, the leader's own among them.
        if let Requests::Many(requests) = std::mem::replace(&mut self.requests, Requests::Many(Vec::new())) {
            let others = requests.into_iter().skip(1).collect();
            self.release(others);
        }
        self.commit.hand_on();
    }
}

impl<R> Seat<R> {
    fn new(request: R) -> Seat<R> {
        Seat {
            turn: Mutex::new(Turn::Waiting(request)),
            changed: Condvar::new(),
            ready: AtomicBool::new(false),
        }
    }

    fn turn(&self, change: impl FnOnce(Turn<R>) -> Turn<R>) {
        let mut turn = self.turn.lock();
        let old = std::mem::replace(&mut *turn, Turn::Taken);
        *turn = change(old);
        self.ready.store(true, Ordering::Release);
        drop(turn);
        self.changed.notify_one();
    }

    /// Waits for the outcome, or (`Err`) for the lead.
    fn wait(&self) -> Result<R, R> {
        for _ in 0..SPINS {
            if self.ready.load(Ordering::Acquire) {
                break;
            }
            spin_loop();
        }
        let mut turn = self.turn.lock();
        loop {
            match std::mem::replace(&mut *turn, Turn::Taken) {
                Turn::Done(request) => return Ok(request),
                Turn::Lead(request) => return Err(request),
                other => *turn = other,
            }
            self.changed.wait(&mut turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Commit, MAX_GROUP_BYTES};
    use crate::sync::Mutex;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    #[test]
    fn every_request_is_committed_once_and_serially() {
        let commit = Commit::<(u64, Option<u64>)>::new(|_| 1);
        let (busy, total) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (commit, busy, total) = (&commit, &busy, &total);
                scope.spawn(move || {
                    for i in 0..2000 {
                        let mine = thread * 10_000 + i;
                        let (request, outcome) = commit.submit((mine, None), |group| {
                            assert!(!busy.swap(true, Ordering::SeqCst), "two leaders at a time");
                            for (request, outcome) in group.iter_mut() {
                                *outcome = Some(*request + 1);
                                total.fetch_add(1, Ordering::Relaxed);
                            }
                            busy.store(false, Ordering::SeqCst);
                        });
                        assert_eq!((request, outcome), (mine, Some(mine + 1)));
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 8 * 2000);
    }

    // 128 batches of 1 GiB were one group: in memory at once, and more than a memtable has room for.
    #[test]
    fn a_group_ends_where_it_is_large() {
        let commit = Commit::<usize>::new(|_| MAX_GROUP_BYTES / 2);
        let sizes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            commit.submit(0, |_| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        commit.submit(0, |group| sizes.lock().push(group.len()));
                    });
                }
                while commit.queue.lock().waiting.len() < 8 {
                    std::thread::yield_now();
                }
            });
        });
        assert_eq!(sizes.into_inner(), [2; 4]);
    }

    #[test]
    fn a_leader_that_dies_leaves_nobody_waiting() {
        let commit = Commit::<Option<u64>>::new(|_| 1);
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let commit = &commit;
                scope.spawn(move || {
                    for i in 0..200u64 {
                        let submit = || {
                            commit.submit(None, |group| {
                                assert!((thread + i) % 5 != 0, "a leader dies");
                                group.iter_mut().for_each(|outcome| *outcome = Some(1));
                            })
                        };
                        // Whether it died, or its leader did, or all went well: it comes back.
                        let _ = catch_unwind(AssertUnwindSafe(submit));
                    }
                });
            }
        });
        assert_eq!(commit.submit(None, |group| group[0] = Some(7)), Some(7));
    }
}
