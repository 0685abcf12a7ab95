//! loom behind the names of the memtable: every schedule within bounds, and every value that a load may
//! find by the rules of memory.
//!
//! A memtable's nodes are words in mapped memory, which loom's atomics can not be laid over: they are
//! larger. So each word of a node has an atomic of its own here, found by its address, which begins with
//! zero as fresh pages do. The bytes of an entry lie where they lie; loom is told who writes and who
//! reads them, and objects if nothing orders the two.

use loom::cell::UnsafeCell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

pub use loom::sync::MutexGuard;

/// loom's atomics.
pub mod atomic {
    pub use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
}

use atomic::{AtomicU32, AtomicU64};

/// loom's lock, without poison.
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Around `value`.
    pub fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    /// Waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// A word of a node.
pub type Word<A> = Arc<A>;

/// What loom knows of the mapped memory. All threads of a model run on one of the system's.
#[derive(Default)]
struct Memory {
    words32: HashMap<usize, Word<AtomicU32>>,
    words64: HashMap<usize, Word<AtomicU64>>,
    bytes: HashMap<usize, Arc<UnsafeCell<()>>>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// The four bytes at an address.
pub fn word32(address: usize) -> Word<AtomicU32> {
    let fresh = || Arc::new(AtomicU32::new(0));
    MEMORY.with_borrow_mut(|memory| memory.words32.entry(address).or_insert_with(fresh).clone())
}

/// The eight bytes at an address.
pub fn word64(address: usize) -> Word<AtomicU64> {
    let fresh = || Arc::new(AtomicU64::new(0));
    MEMORY.with_borrow_mut(|memory| memory.words64.entry(address).or_insert_with(fresh).clone())
}

/// The bytes that begin at an address, and are no atomics.
pub struct Bytes(Arc<UnsafeCell<()>>);

impl Bytes {
    /// Those at this address.
    pub fn at(address: usize) -> Bytes {
        let fresh = || Arc::new(UnsafeCell::new(()));
        Bytes(MEMORY.with_borrow_mut(|memory| memory.bytes.entry(address).or_insert_with(fresh).clone()))
    }

    /// Somebody reads them.
    pub fn read(&self) {
        self.0.with(|_| ());
    }

    /// Somebody writes them.
    pub fn write(&self) {
        self.0.with_mut(|_| ());
    }
}

/// Runs `test` in every way in which at most `preemptions` times a thread has to wait though it could go on.
pub fn model(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        MEMORY.take();
        test();
    });
}
