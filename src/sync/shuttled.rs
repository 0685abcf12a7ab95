//! The same names on shuttle's primitives: every use of one is a step, and between two steps any other
//! thread may go on.
//!
//! Simpler than what it stands for, in ways that hide nothing from a test:
//!
//! - a [`RwLock`] lets one reader in at a time: two readers can do each other no harm;
//! - an [`ArcSwap`] is a lock around a pointer: what is read is the newest, as on x86;
//! - time stands still: [`time::Instant`] knows no difference, and who waits for a time
//!   ([`Condvar::wait_for`], a sleep) gives way once, as if it were over;
//! - a worker that is to run every so often runs only when it is woken.
//!
//! All atomics are sequentially consistent here, whatever order is asked for. Where the order matters,
//! loom looks.

use shuttle::sync as model;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub use shuttle::hint;
pub use shuttle::sync::{atomic, mpsc};

/// Threads of a schedule.
pub mod thread {
    pub use shuttle::thread::{Builder, JoinHandle, current, sleep, spawn, yield_now};
    pub use std::thread::panicking;
}

/// Time that stands still.
pub mod time {
    use std::time::Duration;

    /// A moment like every other.
    #[derive(Clone, Copy, Debug)]
    pub struct Instant;

    impl Instant {
        /// This moment.
        pub fn now() -> Instant {
            Instant
        }

        /// Nothing.
        pub fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }
}

/// A lock, as parking_lot has it: without poison.
#[derive(Default)]
pub struct Mutex<T>(model::Mutex<T>);

/// The right to what a [`Mutex`] holds.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Empty only while a [`Condvar`] has it.
    guard: Option<model::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// Around `value`.
    pub fn new(value: T) -> Mutex<T> {
        Mutex(model::Mutex::new(value))
    }

    /// Waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, guard: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)) }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("nobody waits with it")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("nobody waits with it")
    }
}

/// Lets threads wait for a change.
#[derive(Debug, Default)]
pub struct Condvar(model::Condvar);

impl Condvar {
    /// Nobody waits.
    pub fn new() -> Condvar {
        Condvar::default()
    }

    /// Waits, with the lock let go.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let taken = guard.guard.take().expect("nobody waits with it");
        guard.guard = Some(self.0.wait(taken).unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets go of the lock once: the time is over when the others had their chance.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _time: Duration) {
        guard.guard = None;
        shuttle::thread::yield_now();
        guard.guard = guard.mutex.lock().guard;
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock for many readers or one writer; here, for one of either.
#[derive(Default)]
pub struct RwLock<T>(Mutex<T>);

/// The right to read what an [`RwLock`] holds.
pub struct RwLockReadGuard<'a, T>(MutexGuard<'a, T>);

/// The right to change what an [`RwLock`] holds.
pub struct RwLockWriteGuard<'a, T>(MutexGuard<'a, T>);

impl<T> RwLock<T> {
    /// Around `value`.
    pub fn new(value: T) -> RwLock<T> {
        RwLock(Mutex::new(value))
    }

    /// Waits for it.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard(self.0.lock())
    }

    /// Waits for it.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard(self.0.lock())
    }
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    /// Goes on as a reader, with no writer in between.
    pub fn downgrade(guard: RwLockWriteGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard(guard.0)
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A pointer, or none, that is swapped.
pub struct Swapped<P>(Mutex<P>);

/// A pointer that is swapped.
pub type ArcSwap<T> = Swapped<Arc<T>>;

/// A pointer, or none, that is swapped.
pub type ArcSwapOption<T> = Swapped<Option<Arc<T>>>;

/// What was there when it was loaded.
#[derive(Clone, Debug)]
pub struct Guard<P>(P);

impl<P> Guard<P> {
    /// Around a pointer.
    pub fn from_inner(pointer: P) -> Guard<P> {
        Guard(pointer)
    }
}

impl<P> Deref for Guard<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

impl<P: Clone> Swapped<P> {
    /// What is there now, for a short look.
    pub fn load(&self) -> Guard<P> {
        Guard(self.load_full())
    }

    /// What is there now, to keep.
    pub fn load_full(&self) -> P {
        self.0.lock().clone()
    }

    /// Puts another there.
    pub fn store(&self, pointer: P) {
        // What was there is let go without the lock: it may be the last, and take a file with it.
        drop(self.swap(pointer));
    }

    /// Puts another there; returns what was.
    pub fn swap(&self, pointer: P) -> P {
        std::mem::replace(&mut *self.0.lock(), pointer)
    }
}

impl<T> ArcSwap<T> {
    /// To `value`.
    pub fn from_pointee(value: T) -> ArcSwap<T> {
        Swapped(Mutex::new(Arc::new(value)))
    }

    /// Puts what `change` makes of what is there into its place; asks again if another was quicker.
    pub fn rcu<R: Into<Arc<T>>>(&self, mut change: impl FnMut(&Arc<T>) -> R) {
        loop {
            let old = self.load_full();
            let next = change(&old).into();
            let mut now = self.0.lock();
            if Arc::ptr_eq(&now, &old) {
                let replaced = std::mem::replace(&mut *now, next);
                drop(now);
                drop(replaced);
                return;
            }
        }
    }
}

impl<T> ArcSwapOption<T> {
    /// To nothing.
    pub fn empty() -> ArcSwapOption<T> {
        Swapped(Mutex::new(None))
    }
}

impl<P: Default> Default for Swapped<P> {
    fn default() -> Swapped<P> {
        Swapped(Mutex::default())
    }
}

/// Said by their names: to look inside would be a step.
macro_rules! named {
    ($($type:ty => $name:literal),* $(,)?) => {
        $(impl<T> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($name)
            }
        })*
    };
}

named! {
    Mutex<T> => "Mutex",
    MutexGuard<'_, T> => "MutexGuard",
    RwLock<T> => "RwLock",
    RwLockReadGuard<'_, T> => "RwLockReadGuard",
    RwLockWriteGuard<'_, T> => "RwLockWriteGuard",
    Swapped<T> => "Swapped",
}
