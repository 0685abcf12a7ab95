//! Fuzzes kvs. `notes/fuzzing.md` says what, and what it has found.
//!
//! ```text
//! cd fuzz
//! cargo run --release -- --list                     the targets
//! cargo run --release -- all --seconds 60           each for a minute
//! cargo run --release -- block --runs 1000000       one
//! cargo run --release -- store findings/store/crash-…      one input again
//! cargo run --release -- --seed                     put the engines' own files into the corpora
//! cargo run --release -- --shrink                   corpora without what adds nothing
//! cargo run --release -- --replay --runs 100000    corpora and mutations, without the fuzzer
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match kvs_fuzz::driver::run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}
