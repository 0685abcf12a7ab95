//! Backpressure: writers wait for what goes on in the background, and are told why.
//!
//! A writer who fills memtables faster than they are flushed, or level 0 faster than it is compacted,
//! is slowed down first (each commit waits a little, so that the delay is spread over many) and stopped
//! when there is no room. It never waits in silence: an event tells the beginning and the end, counters
//! tell how long, and if the background can not go on (a full disk), the writer gets that error instead
//! of waiting for ever.

use crate::engine::event::{Event, Listener};
use crate::engine::health::Health;
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::thread;
use crate::sync::time::Instant;
use crate::sync::{Condvar, Mutex};
use std::time::Duration;

/// How long a slowed writer waits at each commit.
const DELAY: Duration = Duration::from_millis(1);

/// How often a stopped writer looks, should nobody tell it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What writers wait for, and how it went.
#[derive(Debug, Default)]
pub struct Pressure {
    state: Mutex<State>,
    changed: Condvar,
    /// Times that a writer was stopped.
    pub stops: AtomicU64,
    /// How long writers were stopped, in microseconds.
    pub stopped_micros: AtomicU64,
    /// Commits that were slowed down.
    pub delays: AtomicU64,
}

/// What makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// Of memtables.
    Flush,
    /// Of level 0.
    Compaction,
}

#[derive(Debug, Default)]
struct State {
    /// Why no flush can go on, and why no compaction can: each until one of its own kind does. A flush has no
    /// clock, and who waits for one must know that it failed, whatever was compacted since.
    troubles: [Option<Error>; 2],
}

impl Pressure {
    /// The background has made room, or may have.
    pub fn relieve(&self, by: Relief) {
        self.state.lock().troubles[by as usize] = None;
        self.changed.notify_all();
    }

    /// The background can not go on; it tries again when it is woken.
    pub fn trouble(&self, of: Relief, error: &Error) {
        self.state.lock().troubles[of as usize] = Some(error.clone());
        self.changed.notify_all();
    }

    /// Lets a writer wait a little.
    #[cold]
    pub fn delay(&self) {
        self.delays.fetch_add(1, Ordering::Relaxed);
        thread::sleep(DELAY);
    }

    /// Waits until nothing is wanted any more. Fails if what is wanted can not be had, or the store is poisoned.
    #[cold]
    pub fn wait(
        &self,
        health: &Health,
        listener: &Listener,
        reason: &str,
        wanted: impl Fn() -> Option<Relief>,
    ) -> Result<()> {
        let begun = Instant::now();
        self.stops.fetch_add(1, Ordering::Relaxed);
        listener.tell(Event::Stalled { reason: reason.to_string() });
        let result = loop {
            let mut state = self.state.lock();
            if let Err(error) = health.check() {
                break Err(error);
            }
            let Some(wanted) = wanted() else { break Ok(()) };
            if let Some(error) = &state.troubles[wanted as usize] {
                break Err(error.clone());
            }
            self.changed.wait_for(&mut state, LOOK_AGAIN);
        };
        let waited = begun.elapsed();
        self.stopped_micros.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
        listener.tell(Event::Resumed { after: waited });
        result
    }

    /// Waits for the next step of the background, or a moment.
    pub fn wait_for_step(&self) {
        let mut state = self.state.lock();
        self.changed.wait_for(&mut state, LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::{Pressure, Relief};
    use crate::engine::event::Listener;
    use crate::engine::health::Health;
    use crate::error::Error;

    // A flush failed, and a compaction that ran beside it took that for mended when it succeeded. A writer who came
    // later waited for a flush that nobody was going to try again.
    #[test]
    fn a_compaction_mends_no_flush() {
        let pressure = Pressure::default();
        let wait = |wanted| pressure.wait(&Health::default(), &Listener::default(), "", || Some(wanted));
        pressure.trouble(Relief::Flush, &Error::invalid("no flush"));
        pressure.relieve(Relief::Compaction);
        assert!(wait(Relief::Flush).unwrap_err().to_string().contains("no flush"));
        pressure.trouble(Relief::Compaction, &Error::invalid("no compaction"));
        pressure.relieve(Relief::Flush);
        assert!(wait(Relief::Compaction).unwrap_err().to_string().contains("no compaction"));
    }

    // One damaged table made each writer fail who had to wait for a moment, though it waited for a flush.
    #[test]
    fn trouble_is_told_to_who_waits_for_what_is_in_trouble() {
        let pressure = Pressure::default();
        pressure.trouble(Relief::Compaction, &Error::invalid("damage"));
        let looks = std::cell::Cell::new(0);
        let flushed_soon = || {
            looks.set(looks.get() + 1);
            (looks.get() < 3).then_some(Relief::Flush)
        };
        pressure.wait(&Health::default(), &Listener::default(), "", flushed_soon).unwrap();
        assert_eq!(looks.get(), 3);
    }
}
