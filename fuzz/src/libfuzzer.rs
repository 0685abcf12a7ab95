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

/// Whether this program was built so that libFuzzer sees which edges are reached.
pub(crate) const IS_INSTRUMENTED: bool = cfg!(fuzzing);

/// What this program is started with to be libFuzzer for one target; its name follows.
pub(crate) const CHILD: &str = "--child=";

/// Fuzzes a target with libFuzzer's own arguments: options as `-runs=1000`, folders of inputs, or files to
/// run once. Returns what the process should exit with; mostly libFuzzer ends the process itself.
pub(crate) fn fuzz(target: &'static Target, arguments: &[String]) -> i32 {
    TARGET.get_or_init(|| target);
    // A merge starts this program again, with these words: the path of the program first, and then what
    // libFuzzer passes over, for it begins with two dashes.
    let program = std::env::args().next().unwrap_or_default();
    let head = [program, format!("{CHILD}{}", target.name)];
    let words = head.iter().chain(arguments).map(String::as_str);
    let words: Vec<CString> = words.filter_map(|word| CString::new(word).ok()).collect();
    let mut pointers: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    let mut count = pointers.len() as c_int;
    pointers.push(std::ptr::null_mut());
    let mut argv = pointers.as_mut_ptr();
    // SAFETY: `argv` has `count` strings and a null behind them, and all of that outlives the call.
    unsafe { LLVMFuzzerRunDriver(&mut count, &mut argv, call) }
}
