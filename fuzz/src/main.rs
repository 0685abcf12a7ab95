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
//!
//! It has to be built in this folder: `.cargo/config.toml` has the flags without which the fuzzer is blind.

mod driver;
mod libfuzzer;
mod targets;

use std::process::ExitCode;

/// Refuses what a decoder must not ask for.
#[global_allocator]
static ALLOCATOR: targets::cap::Capped = targets::cap::Capped;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match driver::run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::targets::{ALL, replay};
    use std::path::Path;

    #[test]
    fn every_target_takes_its_corpus_and_its_seeds() {
        for target in ALL {
            assert!(replay::replay(target, Path::new("corpus"), 0) > 0, "{}: no corpus", target.name);
        }
    }
}
