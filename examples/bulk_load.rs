//! Ten million sorted pairs into an LSM tree: each byte is written once, and stays where it is.
//!
//! Loads pairs in the order of their keys, with keys of 16 bytes and values of 100, and prints how many
//! bytes the disk wrote for them; then asks for everything that compacts, and prints what that wrote.
//!
//! The first argument is how many pairs, the others are options of the engine:
//!
//! ```sh
//! cargo run --release --example bulk_load
//! ```

mod shared;

use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead, Pairs};
use kvs::{Error, Result};
use shared::{Failure, Shown, peak_mib, print_amplification, print_levels};
use std::time::Duration;

/// Pairs in order, made up as they are asked for.
struct Ascending {
    next: u64,
    end: u64,
    key: [u8; 16],
    value: [u8; 100],
}

impl Ascending {
    fn new(end: u64) -> Ascending {
        Ascending { next: 0, end, key: [0; 16], value: [0; 100] }
    }
}

impl Pairs for Ascending {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.next == self.end {
            return Ok(None);
        }
        self.key[8..].copy_from_slice(&self.next.to_be_bytes());
        // Bytes that cannot be compressed (Xorshift).
        let mut noise = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for chunk in self.value.chunks_mut(8) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            chunk.copy_from_slice(&noise.to_le_bytes()[..chunk.len()]);
        }
        self.next += 1;
        Ok(Some((&self.key, &self.value)))
    }
}

/// Holds everything that is there against what was loaded.
fn compare(store: &dyn KvsRead, pairs: u64) -> Result<()> {
    let mut expected = Ascending::new(pairs);
    let mut cursor = store.cursor(KeyRange::all())?;
    cursor.seek_to_first()?;
    while let Some((key, value)) = expected.next_pair()? {
        if !cursor.valid() || cursor.key() != key || cursor.value()? != value {
            return Err(Error::InvalidArgument(format!("WRONG: {key:?} is missing or another")));
        }
        cursor.next()?;
    }
    match cursor.valid() {
        true => Err(Error::InvalidArgument("WRONG: more than was loaded".into())),
        false => Ok(()),
    }
}

fn main() -> std::result::Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let pairs: u64 = args.next().map_or(Ok(10_000_000), |pairs| pairs.parse())?;
    let shown = Shown::new(args)?;
    let directory = tempfile::tempdir()?;
    let store = shown.open(&directory.path().join("store"))?;

    let before = shown.disk.ledger();
    shown.phase("load", pairs, || store.load_sorted(&mut Ascending::new(pairs)))?;
    print_amplification(&shown.disk.ledger().since(&before), pairs * 116);
    print_levels(&store)?;

    let before = shown.disk.ledger();
    shown.phase("wait for the background", 0, || {
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    shown.phase("settle", 0, || store.settle())?;
    shown.phase("compact", 0, || store.compact())?;
    print_amplification(&shown.disk.ledger().since(&before), pairs * 116);
    shown.phase("scan, compared", pairs, || compare(&store, pairs))?;
    println!("peak memory: {} MiB", peak_mib());
    Ok(())
}
