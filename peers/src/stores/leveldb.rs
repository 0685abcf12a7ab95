//! LevelDB, by the C interface of the system's library (`leveldb/c.h`).

#![expect(unsafe_code, reason = "LevelDB is C++ behind a C interface")]

use super::failed;
use crate::peer::{Peer, Terms, single, wait_until_idle};
use kvs::WriteBatch;
use kvs::bench::error::Result;
use kvs::engine::batch::Op;
use kvs::engine::range::Direction;
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};

/// A thing of LevelDB's: a database, options, an iterator, a batch.
type Thing = *mut c_void;

/// Where a call puts what went wrong: text of its own, for [`leveldb_free`].
type Fault = *mut *mut c_char;

#[link(name = "leveldb")]
unsafe extern "C" {
    fn leveldb_major_version() -> c_int;
    fn leveldb_minor_version() -> c_int;
    fn leveldb_free(text: *mut c_void);

    fn leveldb_open(options: Thing, name: *const c_char, fault: Fault) -> Thing;
    fn leveldb_close(db: Thing);
    fn leveldb_put(
        db: Thing,
        options: Thing,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        fault: Fault,
    );
    fn leveldb_delete(db: Thing, options: Thing, key: *const u8, key_len: usize, fault: Fault);
    fn leveldb_write(db: Thing, options: Thing, batch: Thing, fault: Fault);
    fn leveldb_get(
        db: Thing,
        options: Thing,
        key: *const u8,
        key_len: usize,
        value_len: *mut usize,
        fault: Fault,
    ) -> *mut u8;
    fn leveldb_compact_range(
        db: Thing,
        start: *const u8,
        start_len: usize,
        limit: *const u8,
        limit_len: usize,
    );

    fn leveldb_create_iterator(db: Thing, options: Thing) -> Thing;
    fn leveldb_iter_destroy(iterator: Thing);
    fn leveldb_iter_valid(iterator: Thing) -> c_uchar;
    fn leveldb_iter_seek_to_first(iterator: Thing);
    fn leveldb_iter_seek_to_last(iterator: Thing);
    fn leveldb_iter_seek(iterator: Thing, key: *const u8, key_len: usize);
    fn leveldb_iter_next(iterator: Thing);
    fn leveldb_iter_prev(iterator: Thing);
    fn leveldb_iter_key(iterator: Thing, len: *mut usize) -> *const u8;
    fn leveldb_iter_value(iterator: Thing, len: *mut usize) -> *const u8;
    fn leveldb_iter_get_error(iterator: Thing, fault: Fault);

    fn leveldb_writebatch_create() -> Thing;
    fn leveldb_writebatch_destroy(batch: Thing);
    fn leveldb_writebatch_put(
        batch: Thing,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    );
    fn leveldb_writebatch_delete(batch: Thing, key: *const u8, key_len: usize);

    fn leveldb_options_create() -> Thing;
    fn leveldb_options_destroy(options: Thing);
    fn leveldb_options_set_create_if_missing(options: Thing, yes: c_uchar);
    fn leveldb_options_set_write_buffer_size(options: Thing, bytes: usize);
    fn leveldb_options_set_cache(options: Thing, cache: Thing);
    fn leveldb_options_set_filter_policy(options: Thing, policy: Thing);
    fn leveldb_options_set_compression(options: Thing, kind: c_int);
    fn leveldb_cache_create_lru(bytes: usize) -> Thing;
    fn leveldb_cache_destroy(cache: Thing);
    fn leveldb_filterpolicy_create_bloom(bits: c_int) -> Thing;
    fn leveldb_filterpolicy_destroy(policy: Thing);
    fn leveldb_readoptions_create() -> Thing;
    fn leveldb_readoptions_destroy(options: Thing);
    fn leveldb_writeoptions_create() -> Thing;
    fn leveldb_writeoptions_destroy(options: Thing);
    fn leveldb_writeoptions_set_sync(options: Thing, yes: c_uchar);
}

/// `leveldb_no_compression`.
const NO_COMPRESSION: c_int = 0;

/// Owns all of its things, and gives them back when it is dropped.
struct Level {
    db: Thing,
    read: Thing,
    plain: Thing,
    durable: Thing,
    cache: Thing,
    filter: Thing,
}

// SAFETY: a LevelDB database may be used by several threads at once without a lock of theirs
// (leveldb/db.h); the options, the cache and the filter are not changed after `open`.
unsafe impl Send for Level {}
// SAFETY: the same.
unsafe impl Sync for Level {}

pub(super) fn version() -> String {
    // SAFETY: these take nothing, and return a number.
    let (major, minor) = unsafe { (leveldb_major_version(), leveldb_minor_version()) };
    format!("{major}.{minor}")
}

pub(super) fn open(dir: &Path, terms: &Terms) -> Result<Box<dyn Peer>> {
    let name = CString::new(dir.as_os_str().as_bytes()).map_err(|error| failed("leveldb", error))?;
    // SAFETY: everything that is created here is alive until `Level` is dropped, but for the options of
    // the database, which it copies. `Level` is there before anything can fail; a null database is not
    // used.
    unsafe {
        let mut store = Level {
            db: null_mut(),
            read: leveldb_readoptions_create(),
            plain: leveldb_writeoptions_create(),
            durable: leveldb_writeoptions_create(),
            cache: leveldb_cache_create_lru(terms.cache_bytes as usize),
            filter: match terms.filter_bits {
                0 => null_mut(),
                bits => leveldb_filterpolicy_create_bloom(bits as c_int),
            },
        };
        leveldb_writeoptions_set_sync(store.durable, 1);
        let options = leveldb_options_create();
        leveldb_options_set_create_if_missing(options, 1);
        leveldb_options_set_write_buffer_size(options, terms.buffer_bytes as usize);
        leveldb_options_set_cache(options, store.cache);
        leveldb_options_set_filter_policy(options, store.filter);
        leveldb_options_set_compression(options, NO_COMPRESSION);
        let mut fault = null_mut();
        store.db = leveldb_open(options, name.as_ptr(), &mut fault);
        leveldb_options_destroy(options);
        check(fault)?;
        Ok(Box::new(store))
    }
}

/// What a call left in its fault.
fn check(fault: *mut c_char) -> Result<()> {
    if fault.is_null() {
        return Ok(());
    }
    // SAFETY: what is not null is text that ends with a zero byte, and now ours to free.
    let reason = unsafe {
        let reason = CStr::from_ptr(fault).to_string_lossy().into_owned();
        leveldb_free(fault.cast());
        reason
    };
    Err(failed("leveldb", reason))
}

/// Gives a thing back at the end, whatever happens before.
struct Held(Thing, unsafe extern "C" fn(Thing));

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: made with a thing and the call that destroys such things, and used no more.
        unsafe { self.1(self.0) }
    }
}

impl Peer for Level {
    fn write(&self, batch: WriteBatch, is_durable: bool) -> Result<()> {
        let options = if is_durable { self.durable } else { self.plain };
        let mut fault = null_mut();
        // SAFETY: keys and values are alive, and of these lengths, while the calls copy them; database and
        // options are alive as long as `self`.
        unsafe {
            match single(&batch) {
                Some(Op::Set(key, value)) => leveldb_put(
                    self.db,
                    options,
                    key.as_ptr(),
                    key.len(),
                    value.as_ptr(),
                    value.len(),
                    &mut fault,
                ),
                Some(Op::Remove(key)) => {
                    leveldb_delete(self.db, options, key.as_ptr(), key.len(), &mut fault);
                }
                None => {
                    let all = Held(leveldb_writebatch_create(), leveldb_writebatch_destroy);
                    for op in batch.iter() {
                        match op {
                            Op::Set(key, value) => leveldb_writebatch_put(
                                all.0,
                                key.as_ptr(),
                                key.len(),
                                value.as_ptr(),
                                value.len(),
                            ),
                            Op::Remove(key) => leveldb_writebatch_delete(all.0, key.as_ptr(), key.len()),
                        }
                    }
                    leveldb_write(self.db, options, all.0, &mut fault);
                }
            }
        }
        check(fault)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let (mut fault, mut len) = (null_mut(), 0);
        // SAFETY: the key is alive while the call reads it; database and options are as long as `self`.
        let value = unsafe { leveldb_get(self.db, self.read, key.as_ptr(), key.len(), &mut len, &mut fault) };
        check(fault)?;
        if value.is_null() {
            return Ok(false);
        }
        let held = Held(value.cast(), leveldb_free);
        // SAFETY: the value has `len` bytes, is ours, and is freed after this.
        see(unsafe { std::slice::from_raw_parts(held.0.cast(), len) });
        Ok(true)
    }

    fn scan(
        &self,
        from: Option<&[u8]>,
        direction: Direction,
        limit: u64,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64> {
        // SAFETY: database and options are alive as long as `self`, which outlives the iterator.
        let iterator = unsafe { leveldb_create_iterator(self.db, self.read) };
        let iterator = Held(iterator, leveldb_iter_destroy);
        let (mut count, mut fault) = (0, null_mut());
        // SAFETY: the iterator is alive; key and value are asked for only where it is valid, and looked at
        // before it moves.
        unsafe {
            seek(iterator.0, from, direction);
            while count < limit && leveldb_iter_valid(iterator.0) != 0 {
                let (mut key_len, mut value_len) = (0, 0);
                let key = leveldb_iter_key(iterator.0, &mut key_len);
                let value = leveldb_iter_value(iterator.0, &mut value_len);
                see(std::slice::from_raw_parts(key, key_len), std::slice::from_raw_parts(value, value_len));
                count += 1;
                match direction {
                    Direction::Forward if count < limit => leveldb_iter_next(iterator.0),
                    Direction::Reverse if count < limit => leveldb_iter_prev(iterator.0),
                    _ => {}
                }
            }
            leveldb_iter_get_error(iterator.0, &mut fault);
        }
        check(fault)?;
        Ok(count)
    }

    /// There is no call that flushes: up to one write buffer stays in memory, and in the log.
    fn settle(&self) -> Result<()> {
        wait_until_idle();
        Ok(())
    }

    fn compact(&self) -> Result<()> {
        // SAFETY: null stands for the first key, and for the last.
        unsafe { leveldb_compact_range(self.db, null(), 0, null(), 0) };
        self.settle()
    }
}

/// # Safety
///
/// The iterator is alive.
unsafe fn seek(iterator: Thing, from: Option<&[u8]>, direction: Direction) {
    // SAFETY: the caller's; the key is alive while the call reads it.
    unsafe {
        match (from, direction) {
            (Some(from), Direction::Forward) => leveldb_iter_seek(iterator, from.as_ptr(), from.len()),
            (None, Direction::Forward) => leveldb_iter_seek_to_first(iterator),
            (None, Direction::Reverse) => leveldb_iter_seek_to_last(iterator),
            (Some(from), Direction::Reverse) => {
                leveldb_iter_seek(iterator, from.as_ptr(), from.len());
                match leveldb_iter_valid(iterator) {
                    0 => leveldb_iter_seek_to_last(iterator),
                    _ => leveldb_iter_prev(iterator),
                }
            }
        }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: all were created in `open` and nobody has them any more; the database goes first, since
        // it uses the others. A filter is null if none was asked for, a database if it did not open.
        unsafe {
            if !self.db.is_null() {
                leveldb_close(self.db);
            }
            leveldb_readoptions_destroy(self.read);
            leveldb_writeoptions_destroy(self.plain);
            leveldb_writeoptions_destroy(self.durable);
            leveldb_cache_destroy(self.cache);
            if !self.filter.is_null() {
                leveldb_filterpolicy_destroy(self.filter);
            }
        }
    }
}
