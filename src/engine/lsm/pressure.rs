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

#[derive(Debug, Default)]
struct State {
    /// Steps that the background has made.
    steps: u64,
    /// Why it can not go on.
    trouble: Option<Error>,
}

impl Pressure {
    /// The background has made room, or may have.
    pub fn relieve(&self) {
        let mut state = self.state.lock();
        state.steps += 1;
        state.trouble = None;
        drop(state);
        self.changed.notify_all();
    }

    /// The background can not go on; it tries again when it is woken.
    pub fn trouble(&self, error: &Error) {
        let mut state = self.state.lock();
        state.steps += 1;
        state.trouble = Some(error.clone());
        drop(state);
        self.changed.notify_all();
    }

    /// Lets a writer wait a little.
    #[cold]
    pub fn delay(&self) {
        self.delays.fetch_add(1, Ordering::Relaxed);
        thread::sleep(DELAY);
    }

    /// Waits until `is_full` says no. Fails if the background is in trouble, or the store is poisoned.
    #[cold]
    pub fn wait(
        &self,
        health: &Health,
        listener: &Listener,
        reason: &str,
        is_full: impl Fn() -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        self.stops.fetch_add(1, Ordering::Relaxed);
        listener.tell(Event::Stalled { reason: reason.to_string() });
        let result = loop {
            let mut state = self.state.lock();
            if let Err(error) = health.check() {
                break Err(error);
            }
            if !is_full() {
                break Ok(());
            }
            if let Some(error) = &state.trouble {
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
