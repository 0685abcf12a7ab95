//! What the keydir costs, counted by the allocator itself.

use kvs::engine::bitcask::keydir::Keydir;
use kvs::engine::bitcask::keydir::place::Place;
use kvs::engine::range::KeyRange;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes that are allocated now.
static ALLOCATED: AtomicI64 = AtomicI64::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one passes everything on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEYS: u64 = 1_000_000;
const KEY_LEN: u64 = 16;

fn key(n: u64) -> [u8; KEY_LEN as usize] {
    // Scattered, so that shards are filled as by real keys.
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; KEY_LEN as usize];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key[8..].copy_from_slice(&n.rotate_left(32).to_le_bytes());
    key
}

fn overhead(before: i64, keys: u64) -> f64 {
    (ALLOCATED.load(Ordering::Relaxed) - before) as f64 / keys as f64 - KEY_LEN as f64
}

/// The limit is 32 bytes a key beside the key itself, before and after the order of a scan is there,
/// and at the worst fill of the tables too: they double when they are 7/8 full.
#[test]
fn a_key_costs_at_most_32_bytes_beside_itself() {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let keydir = Keydir::new(1);
    let mut worst = 0f64;
    for n in 0..KEYS {
        keydir.set(&key(n), Place { segment: 1, offset: n as u32, len: 127 });
        if n % 10_000 == 9_999 && n > 100_000 {
            worst = worst.max(overhead(before, n + 1));
        }
    }
    let unordered = overhead(before, KEYS);
    assert_eq!(keydir.page(&KeyRange::all(), 1).len(), 1);
    let ordered = overhead(before, KEYS);
    let counted = keydir.footprint();
    println!(
        "bytes a key beside the key, at {KEYS} keys: {unordered:.1}; at the worst fill above 100,000: {worst:.1}; \
         with the order of a scan: {ordered:.1}"
    );
    assert!(worst <= 32.0 && unordered <= 32.0 && ordered <= 32.0);
    let said = counted.bytes as f64 / KEYS as f64 - KEY_LEN as f64;
    assert!((said - ordered).abs() < 1.0, "stats say {said:.1}, the allocator {ordered:.1}");
}
