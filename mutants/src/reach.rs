//! Which tests reach which mutants: each test runs once by itself, under no mutant, and tells whom it asked for.
//!
//! A test that never asks for a mutant runs alike with and without it. So a mutant is tried on the tests that
//! reach it and on no other, which is most of what makes a mutant cheap.

#[path = "../../tests/museum_support/left_out.rs"]
mod left_out;

use crate::build::Built;
use crate::run::{Ended, Runner};
use left_out::LEFT_OUT;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Longer than any test takes that is worth its time here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test, what it costs and whom it reaches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Test {
    /// The target it belongs to.
    pub target: String,
    /// Its name within.
    pub name: String,
    /// How long it took, its process included.
    pub seconds: f64,
    /// The numbers of the mutants that it asks for, sorted.
    pub reaches: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    tree: u64,
    tests: Vec<Test>,
}

/// Traces all tests, or takes what an earlier run has traced of the same tree.
pub fn tests(built: &Built, runner: &Runner, work: &Path) -> Result<Vec<Test>, String> {
    let kept = work.join(if built.binaries.len() == 1 { "reach-unit.json" } else { "reach.json" });
    if let Some(kept) = fs::read(&kept).ok().and_then(|kept| serde_json::from_slice::<Kept>(&kept).ok())
        && kept.tree == built.tree.hash
    {
        return Ok(kept.tests);
    }
    let mut tests = Vec::new();
    for target in crate::build::TARGETS.iter().filter(|target| built.binaries.contains_key(**target)) {
        let before = tests.len();
        for name in runner.names(target)? {
            let left_out = LEFT_OUT.iter().any(|(of, part)| of == target && name.contains(part));
            if !left_out && let Some(test) = trace(runner, target, name)? {
                tests.push(test);
            }
        }
        let seconds: f64 = tests[before..].iter().map(|test: &Test| test.seconds).sum();
        eprintln!("{target}: {} tests reach mutants, in {seconds:.0} s", tests.len() - before);
    }
    let written = serde_json::to_vec(&Kept { tree: built.tree.hash, tests: tests.clone() });
    let written = written.map_err(|error| error.to_string())?;
    fs::write(&kept, written).map_err(|error| format!("{}: {error}", kept.display()))?;
    Ok(tests)
}

fn trace(runner: &Runner, target: &str, name: String) -> Result<Option<Test>, String> {
    let told = runner.dir().join("trace");
    let _ = fs::remove_file(&told);
    let trace = ("KVS_MUTANT_TRACE".to_string(), told.display().to_string());
    let ran = runner.run(target, std::slice::from_ref(&name), &trace, PATIENCE)?;
    if ran.ended != Ended::Green {
        eprintln!("left out, for it does not pass without a mutant: {target} {name}");
        return Ok(None);
    }
    let told = fs::read_to_string(&told).unwrap_or_default();
    let mut reaches: Vec<u32> = told.lines().filter_map(|line| line.parse().ok()).collect();
    reaches.sort_unstable();
    let reached = !reaches.is_empty();
    Ok(reached.then(|| Test { target: target.into(), name, seconds: ran.seconds, reaches }))
}
