//! A first program: open a store, write, read, scan, and look at the past.
//!
//! `cargo run --example quickstart`

use kvs::{EngineKind, KeyRange, KvsEngine, KvsRead, OpenOptions, WriteBatch, WriteOptions};
use std::error::Error;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;

    // A store is a directory. It is made when it is opened for the first time.
    let store: Arc<dyn KvsEngine> =
        EngineKind::Bitcask.open(directory.path(), OpenOptions::default(), &[])?;

    // One key: with the operating system when `set` returns.
    store.set(b"tea", b"green")?;

    // Several keys, all or nothing; and on the device when `write` returns.
    let mut batch = WriteBatch::new();
    batch.set(b"coffee", b"black");
    batch.set(b"cocoa", b"hot");
    batch.remove(b"tea");
    store.write(batch, &WriteOptions::durable())?;

    // A snapshot stays as it is.
    let before = store.snapshot()?;
    let old = store.swap(b"coffee", Some(b"with milk"))?;
    println!("coffee was {:?}", old.ok_or("coffee was just set")?);

    // Keys come in order. A range, a prefix, or all; forwards or in reverse.
    for pair in store.scan(KeyRange::prefix("co"))? {
        let (key, value) = pair?;
        println!("now     {} = {}", key.escape_ascii(), value.escape_ascii());
    }
    for pair in before.scan(KeyRange::all().reverse())? {
        let (key, value) = pair?;
        println!("before  {} = {}", key.escape_ascii(), value.escape_ascii());
    }

    // Engines are shared between threads as they are.
    let shared = store.clone();
    let thread = std::thread::spawn(move || shared.get(b"cocoa"));
    let cocoa = thread.join().map_err(|_| "the thread panicked")??;
    println!("another thread reads cocoa = {:?}", cocoa.ok_or("cocoa was just set")?);

    // Dropping the store closes it; nothing depends on that having happened.
    Ok(())
}
