//! LLVM's libFuzzer, as one call: it makes inputs, watches which edges each of them reaches, and keeps those
//! that reach new ones.

#![expect(unsafe_code, reason = "libFuzzer is C++; this file is all that speaks to it")]

use crate::targets::Target;
use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

/// What every input is given to.
static TARGET: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| run_one(data));

fn run_one(data: &[u8]) {
    if let Some(target) = TARGET.get() {
        target.run(data);
    }
}

extern "C" fn call(data: *const u8, len: usize) -> c_int {
    // SAFETY: libFuzzer hands over `len` bytes at `data`, which stay as they are until this returns.
    unsafe { libfuzzer_sys::test_input_wrap(data, len) }
}

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        callback: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

/// Fuzzes a target with libFuzzer's own arguments, those of this process: options as `-runs=1000`, folders of
/// inputs, or files to run once. Returns what the process should exit with; mostly libFuzzer ends it itself.
pub(crate) fn fuzz(target: &'static Target) -> i32 {
    TARGET.get_or_init(|| target);
    let words: Vec<CString> = std::env::args().filter_map(|word| CString::new(word).ok()).collect();
    let mut pointers: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    let mut count = pointers.len() as c_int;
    pointers.push(std::ptr::null_mut());
    let mut argv = pointers.as_mut_ptr();
    // SAFETY: `argv` has `count` strings and a null behind them, and all of that outlives the call.
    unsafe { LLVMFuzzerRunDriver(&mut count, &mut argv, call) }
}
