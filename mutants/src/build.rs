//! Builds the tests of the tree with the mutants once, after it has dropped the mutants that do not compile.

use crate::list::Mutant;
use crate::tree::Tree;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests that can tell a mutant, the cheap ones first.
pub const TARGETS: &[&str] = &[
    "lib",
    "stepped",
    "rows",
    "lsm_rows",
    "scripts",
    "regressions",
    "verify",
    "verify_tree",
    "migrate",
    "model",
    "contract",
    "damage",
    "errors",
    "crash",
];

/// A tree that is built.
pub struct Built {
    /// The tree.
    pub tree: Tree,
    /// The test binaries by the names of their targets.
    pub binaries: BTreeMap<String, PathBuf>,
    /// Mutants that do not compile.
    pub unviable: BTreeSet<u32>,
    /// Mutants that can not be switched: in constants, or where the rewriter finds nothing.
    pub fixed: BTreeSet<u32>,
}

/// Writes and checks the tree, again and again until every mutant in it compiles. Those that are known not to
/// are left out from the first.
pub fn check(
    root: &Path,
    work: &Path,
    mutants: &[Mutant],
    mut unviable: BTreeSet<u32>,
    mut fixed: BTreeSet<u32>,
) -> Result<Built, String> {
    let path = work.join("tree");
    for round in 1.. {
        let dropped = unviable.union(&fixed).copied().collect();
        let tree = Tree::write(root, &path, mutants, &dropped)?;
        fixed.extend(tree.files.values().flat_map(|file| &file.left_out));
        let messages = cargo(&path, work, &["check", "--lib"])?;
        let errors: Vec<_> =
            messages.iter().filter(|message| message["message"]["level"] == "error").collect();
        if errors.is_empty() {
            eprintln!(
                "round {round}: compiles; {} unviable, {} can not be switched",
                unviable.len(),
                fixed.len()
            );
            return Ok(Built { tree, binaries: BTreeMap::new(), unviable, fixed });
        }
        let known = unviable.len() + fixed.len();
        for error in &errors {
            // A constant asks for its value when it is compiled: the mutant is sound, and can not be switched.
            let constant = error["message"]["code"]["code"] == "E0015";
            let to = if constant { &mut fixed } else { &mut unviable };
            to.extend(culprits(&tree, &error["message"]));
        }
        eprintln!("round {round}: {} errors", errors.len());
        if unviable.len() + fixed.len() == known {
            let told = errors.iter().filter_map(|error| error["message"]["rendered"].as_str());
            return Err(told.collect::<Vec<_>>().join("\n"));
        }
    }
    unreachable!("each round drops a mutant, and there are not so many")
}

/// The mutants that an error speaks of: those that its main stretch is in, or else any other that it shows.
fn culprits(tree: &Tree, message: &Value) -> Vec<u32> {
    let spans = message["spans"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |primary: bool| {
        let spans = spans.iter().filter(move |span| span["is_primary"] == primary);
        spans.filter_map(|span| {
            let file = tree.files.get(span["file_name"].as_str()?)?;
            let at = |end: &str| span[end].as_u64().and_then(|at| usize::try_from(at).ok());
            file.culprits(&(at("byte_start")?..at("byte_end")?))
        })
    };
    let held = of(true).chain(of(false)).next().unwrap_or_default().to_vec();
    match message["code"]["code"].as_str() {
        Some("E0004") => arms(tree, message).unwrap_or(held),
        _ => held,
    }
}

/// The arms of a match that is not exhaustive without one of them: those from what is matched on to where the
/// compiler would add another.
fn arms(tree: &Tree, message: &Value) -> Option<Vec<u32>> {
    let matched = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let file = tree.files.get(matched["file_name"].as_str()?)?;
    let help = message["children"].as_array()?.iter().filter_map(|child| child["spans"].as_array()).flatten();
    let ends = help.filter(|span| {
        span["file_name"] == matched["file_name"] && span["suggested_replacement"].is_string()
    });
    let at = |value: &Value| value.as_u64().and_then(|at| usize::try_from(at).ok());
    let (start, end) = (at(&matched["byte_start"])?, ends.filter_map(|span| at(&span["byte_end"])).max()?);
    Some(file.arms(&(start..end)))
}

/// Builds these tests of the tree, the first of which are those of the library.
pub fn build(built: &mut Built, work: &Path, targets: &[&str]) -> Result<(), String> {
    let path = &built.tree.path;
    let there = targets.iter().filter(|target| path.join(format!("tests/{target}.rs")).exists());
    let named = there.flat_map(|target| ["--test", target]);
    let arguments: Vec<_> = ["test", "--no-run", "--lib"].into_iter().chain(named).collect();
    let messages = cargo(path, work, &arguments)?;
    let errors = messages.iter().filter(|message| message["message"]["level"] == "error");
    let errors: Vec<_> = errors.filter_map(|error| error["message"]["rendered"].as_str()).collect();
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    let binary = |message: &Value| {
        let is_library = message["target"]["kind"][0] == "lib";
        let name = if is_library { "lib" } else { message["target"]["name"].as_str()? };
        Some((name.to_string(), PathBuf::from(message["executable"].as_str()?)))
    };
    built.binaries = messages.iter().filter_map(binary).collect();
    Ok(())
}

/// What cargo says, line by line.
fn cargo(path: &Path, work: &Path, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(arguments).args(["--no-default-features", "--message-format=json"]);
    cargo.current_dir(path).env("CARGO_TARGET_DIR", work.join("build"));
    let done = cargo.stderr(Stdio::null()).output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&done.stdout);
    let messages: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ends = messages.iter().any(|message| message["reason"] == "build-finished");
    ends.then_some(messages).ok_or_else(|| "cargo did not come to an end; run it in the tree by hand".into())
}
