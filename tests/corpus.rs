//! The corpora of the fuzzer, replayed: every input that was kept for reaching something of its own, or for
//! having broken something, and some thousand seeded mutations of them. Nothing has to be installed.
//!
//! `fuzz/` is the fuzzer, `notes/fuzzing.md` says what each target promises. `KVS_FUZZ_RUNS` is how many
//! mutations a decoder gets; what is slower gets fewer.

#![expect(clippy::disallowed_methods, reason = "reads corpora, not stores")]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::path::Path;
use targets::{ALL, Target, cap, decoder, replay};

/// Refuses what a decoder must not ask for.
#[global_allocator]
static ALLOCATOR: cap::Capped = cap::Capped;

/// Mutations for each decoder.
const RUNS: u64 = 20_000;

fn runs() -> u64 {
    let runs = std::env::var("KVS_FUZZ_RUNS").ok();
    runs.map_or(RUNS, |text| text.parse().unwrap_or_else(|_| panic!("KVS_FUZZ_RUNS={text}: a number")))
}

fn replayed(name: &str) {
    let target = Target::named(name).unwrap_or_else(|| panic!("{name}: no such target"));
    let kept = replay::replay(target, Path::new("fuzz/corpus"), runs());
    assert!(kept > 0, "{name}: no corpus in fuzz/corpus; `--seed` makes one");
    println!("{name}: {kept} inputs kept, {} mutations", runs() / target.cost);
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replayed(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<_> = ALL.iter().map(|target| target.name).collect();
            assert_eq!([$(stringify!($name)),*], names[..]);
        }
    };
}

targets! {
    frame log edit manifest identity batch wal_batch wal segment hint properties block index filter compress table
    trace text range inspect store ops
}

/// The mutations must be able to find something: a decoder that believes a length.
#[test]
fn a_planted_defect_is_found() {
    static GULLIBLE: Target = decoder(
        "gullible",
        |data| assert!(data.first().is_none_or(|&len| data.len() > usize::from(len)), "cut"),
        || vec![b"\x03abc".to_vec(), b"\x00".to_vec()],
    );
    let silent = std::panic::catch_unwind(|| replay::replay(&GULLIBLE, Path::new("none"), 0));
    assert_eq!(silent.ok(), Some(0), "the seeds are sound");
    let found = std::panic::catch_unwind(|| replay::replay(&GULLIBLE, Path::new("none"), 1000));
    assert!(found.is_err());
}

/// The allocator must be able to refuse something: a target that asks for more than it may ends the process.
#[test]
fn a_request_beyond_the_limit_ends_the_process() {
    const ASK: &str = "KVS_FUZZ_ASK_FOR_TOO_MUCH";
    if std::env::var_os(ASK).is_some() {
        cap::within(1000, "greedy", || drop(std::hint::black_box(vec![1u8; 1001])));
        return;
    }
    let own = std::env::current_exe().expect("a test has a path");
    let mut child = std::process::Command::new(own);
    child.args(["--exact", "a_request_beyond_the_limit_ends_the_process", "--nocapture"]).env(ASK, "1");
    let out = child.output().expect("a test can be started");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("greedy: a request for 1001 bytes"), "{said}");
}
