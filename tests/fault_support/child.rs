//! A second process: the test binary again, with one of its tests and a word that tells it its part.

use kvs::survive::engine::Engine;
use std::process::{Command, Stdio};

const PART: &str = "KVS_FAULT_CHILD";

/// What this process was started to do, if it is a child; else `None`, and the test has nothing to do.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Runs one test of this binary, on this engine, in a process of its own, which finds `part` in [`part`].
pub(crate) fn command(engine: &Engine, test: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("{}::{test}", engine.name());
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]).env(PART, part);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}
