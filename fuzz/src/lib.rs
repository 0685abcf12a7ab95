//! Fuzzes kvs: the targets, the fuzzer, and the program that runs it. `notes/fuzzing.md` says what is fuzzed,
//! and what was found.

pub mod driver;
mod libfuzzer;
mod targets;

/// Refuses what a decoder must not ask for.
#[global_allocator]
static ALLOCATOR: targets::cap::Capped = targets::cap::Capped;

macro_rules! fuzz {
    ($($name:ident $target:ident)*) => {
        $(
            /// Gives this target to libFuzzer, with its own arguments from the command line.
            pub fn $name() {
                std::process::exit(libfuzzer::fuzz(&targets::$target));
            }
        )*
    };
}

// What the programs in `src/bin` are. A function for each, not one that takes a name: a program is linked with
// the code of its own target alone, and libFuzzer looks at every edge of it after each input.
fuzz! {
    frame FRAME
    log LOG
    edit EDIT
    manifest MANIFEST
    identity IDENTITY
    batch BATCH
    wal_batch WAL_BATCH
    wal WAL
    segment SEGMENT
    hint HINT
    properties PROPERTIES
    block BLOCK
    index INDEX
    filter FILTER
    compress COMPRESS
    table TABLE
    trace TRACE
    text TEXT
    range RANGE
    inspect INSPECT
    store STORE
    ops OPS
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
