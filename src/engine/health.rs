//! Whether a store may go on acknowledging writes.
//!
//! After the first failed write or sync it may not: what the disk holds is unknown until it is read
//! back, which is what opening does. Reads go on. A failed sync is never tried again: the kernel may
//! have dropped the dirty pages and would report success (Rebello et al., "Can Applications Recover
//! from fsync Failures?", ATC 2020).

use crate::engine::event::{Event, Listener};
use crate::error::{Error, Result};
use crate::sync::{Mutex, thread};
use std::sync::{Arc, OnceLock};

/// Sound until the first failure, and poisoned from then on.
#[derive(Debug, Default)]
pub struct Health {
    cause: OnceLock<Arc<Error>>,
    listener: Listener,
    /// Whether the directory is not the store's any more.
    is_closed: Mutex<bool>,
}

impl Health {
    /// Sound; `listener` is told if that ends.
    pub fn new(listener: Listener) -> Health {
        Health { cause: OnceLock::new(), listener, is_closed: Mutex::default() }
    }

    /// [`Error::Poisoned`] with its cause, if there is one. One atomic load when sound.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned(cause.clone())),
        }
    }

    /// What poisoned it.
    pub fn cause(&self) -> Option<&Error> {
        self.cause.get().map(|cause| &**cause)
    }

    /// Poisons it. The first cause stays; the error is handed back, to be returned to the caller
    /// whose operation failed.
    pub fn poison(&self, error: Error) -> Error {
        let mut first = false;
        self.cause.get_or_init(|| {
            first = true;
            Arc::new(error.clone())
        });
        if first {
            self.listener.tell(Event::Poisoned { reason: error.to_string() });
        }
        error
    }

    /// Takes note that the store is being closed: its lock is let go of next.
    pub fn close(&self) {
        *self.is_closed.lock() = true;
    }

    /// Runs `remove`, which takes a file of the store away; nothing, where that may not be. After a failure the
    /// manifest on the disk may still name the file. When the store is closed (a snapshot may live longer) the
    /// directory may hold another one, with a file of that name. The next opening removes what was left.
    pub fn while_owner<T>(&self, remove: impl FnOnce() -> T) -> Option<T> {
        let is_closed = self.is_closed.lock();
        (!*is_closed && self.check().is_ok()).then(remove)
    }

    /// Passes success on; poisons on failure.
    pub fn guard<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| self.poison(e))
    }

    /// Poisons if a panic comes before the watch is let go: what was being changed is then in a state
    /// that nobody knows.
    pub fn watch(&self, what: &'static str) -> Watch<'_> {
        Watch { health: self, what, was_panicking: thread::panicking() }
    }
}

/// See [`Health::watch`].
#[derive(Debug)]
pub struct Watch<'a> {
    health: &'a Health,
    what: &'static str,
    was_panicking: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.health.poison(Error::invalid(format!("a thread panicked in the middle of {}", self.what)));
        }
    }
}
