//! loom behind the names of the memtable: every schedule within bounds, and every value that a load may
//! find by the rules of memory.
//!
//! A memtable's nodes are words in mapped memory, which loom's atomics can not be laid over: they are
//! larger. So each word of a node has an atomic of its own here, found by its address and made by the thread
//! that makes the node, which begins with zero as fresh pages do. The bytes of an entry lie where
//! they lie; loom is told who writes and who reads them, and objects if nothing orders the two.

use loom::cell::UnsafeCell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};

pub use loom::sync::MutexGuard;

/// loom's atomics, each with a second one beside it that is stored to before every use. Of the uses of an
/// atomic loom remembers the last alone: that of a reader is forgotten when the writer loads too, and then
/// its store seems to race with nobody. A store is never forgotten, and, relaxed, it orders nothing.
pub mod atomic {
    use loom::sync::atomic as loom;
    pub use loom::{Ordering, fence};

    macro_rules! touched {
        ($name:ident, [$($of:ident)?], $value:ty) => {
            #[doc = concat!("loom's ", stringify!($name), ".")]
            #[derive(Debug)]
            pub struct $name$(<$of>)? {
                touched: loom::AtomicU32,
                word: loom::$name$(<$of>)?,
            }

            impl$(<$of>)? $name$(<$of>)? {
                /// With this value.
                pub fn new(value: $value) -> Self {
                    Self { touched: loom::AtomicU32::new(0), word: loom::$name::new(value) }
                }

                /// A value that may be found.
                pub fn load(&self, order: Ordering) -> $value {
                    self.touched.store(0, Ordering::Relaxed);
                    self.word.load(order)
                }

                /// Puts a value.
                pub fn store(&self, value: $value, order: Ordering) {
                    self.touched.store(0, Ordering::Relaxed);
                    self.word.store(value, order);
                }
            }
        };
    }

    touched!(AtomicU32, [], u32);
    touched!(AtomicU64, [], u64);
    touched!(AtomicPtr, [T], *mut T);

    impl Default for AtomicU32 {
        fn default() -> AtomicU32 {
            AtomicU32::new(0)
        }
    }

    impl Default for AtomicU64 {
        fn default() -> AtomicU64 {
            AtomicU64::new(0)
        }
    }
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

/// A node is made: its words are zero, and this thread knows them. Others must hear of them from it: loom
/// objects to who does not.
pub fn make_words(words32: impl Iterator<Item = usize>, words64: impl Iterator<Item = usize>) {
    MEMORY.with_borrow_mut(|memory| {
        memory.words32.extend(words32.map(|at| (at, Arc::new(AtomicU32::new(0)))));
        memory.words64.extend(words64.map(|at| (at, Arc::new(AtomicU64::new(0)))));
    });
}

/// The four bytes at an address.
pub fn word32(address: usize) -> Word<AtomicU32> {
    MEMORY.with_borrow(|memory| memory.words32.get(&address).expect("a word of a node").clone())
}

/// The eight bytes at an address.
pub fn word64(address: usize) -> Word<AtomicU64> {
    MEMORY.with_borrow(|memory| memory.words64.get(&address).expect("a word of a node").clone())
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

/// Runs `test` in every way in which at most `preemptions` times a thread has to wait though it could go on;
/// says in how many.
pub fn model(preemptions: usize, test: impl Fn() + Send + Sync + 'static) -> usize {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    let count = Arc::new(AtomicUsize::new(0));
    let ways = count.clone();
    builder.check(move || {
        ways.fetch_add(1, SeqCst);
        MEMORY.take();
        test();
    });
    count.load(SeqCst)
}
