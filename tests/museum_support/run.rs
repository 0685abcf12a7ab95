//! Builds the tests of the tree with the bugs once, and runs them under one bug after the other.

use crate::museum_support::left_out::LEFT_OUT;
use crate::museum_support::page::Whose;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The columns of the matrix: what can tell a right engine from a wrong one.
pub(crate) const TARGETS: &[&str] = &[
    "lib",
    "contract",
    "model",
    "scripts",
    "regressions",
    "crash",
    "errors",
    "damage",
    "rows",
    "lsm_rows",
    "verify",
    "verify_tree",
    "concurrency",
    "stepped",
    "migrate",
];

/// Longer than a named test takes beside other work; who is not done by then does not end.
const LIMIT_OF_ONE: Duration = Duration::from_secs(600);

/// The same for all tests of a target, which try less in the matrix.
const LIMIT_OF_ALL: Duration = Duration::from_secs(180);

/// How much the tests of the matrix try: enough to tell a mutant, and no more.
const FEWER: &[(&str, &str)] = &[
    ("KVS_CRASH_BUDGET", "few"),
    ("KVS_MODEL_CASES", "100"),
    ("KVS_MODEL_SHRINK", "0"),
    ("KVS_CONCURRENCY_SECONDS", "1"),
    ("KVS_CONCURRENCY_OPS", "5000"),
];

/// The test binaries by the names of their targets.
pub(crate) struct Built {
    tree: PathBuf,
    binaries: BTreeMap<String, PathBuf>,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// The names of those that failed.
    pub(crate) failed: Vec<String>,
    /// Whether the process came to no end of its own.
    pub(crate) hung: bool,
    /// Whether it ended without saying how its tests went.
    pub(crate) died: bool,
}

impl Outcome {
    /// Whether all is well.
    pub(crate) fn is_green(&self) -> bool {
        self.failed.is_empty() && !self.hung && !self.died
    }
}

impl Built {
    /// Builds the tests of the tree. The dependencies are those of the tree beside, built already.
    pub(crate) fn build(tree: &Path, target_dir: &Path) -> Result<Built, String> {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        cargo.args(["test", "--no-run", "--no-default-features", "--message-format=json", "--lib"]);
        for target in TARGETS.iter().filter(|target| **target != "lib") {
            cargo.args(["--test", target]);
        }
        cargo.current_dir(tree).env("CARGO_TARGET_DIR", target_dir).env_remove("KVS_MUTANT");
        let done = cargo.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
        let told = String::from_utf8_lossy(&done.stdout);
        let messages = told.lines().filter_map(|line| serde_json::from_str(line).ok());
        let messages: Vec<serde_json::Value> = messages.collect();
        if !done.status.success() {
            let errors = messages.iter().filter(|message| message["message"]["level"] == "error");
            let errors = errors.filter_map(|message| message["message"]["rendered"].as_str());
            return Err(errors.collect::<Vec<_>>().join("\n"));
        }
        let binary = |message: &serde_json::Value| {
            let is_library = message["target"]["kind"][0] == "lib";
            let name = if is_library { "lib" } else { message["target"]["name"].as_str()? };
            Some((name.to_string(), PathBuf::from(message["executable"].as_str()?)))
        };
        let binaries: BTreeMap<_, _> = messages.iter().filter_map(binary).collect();
        match TARGETS.iter().find(|target| !binaries.contains_key(**target)) {
            Some(missing) => Err(format!("no test binary for {missing}")),
            None => Ok(Built { tree: tree.to_path_buf(), binaries }),
        }
    }

    /// Runs one test by its full name, under a mutant or under none.
    pub(crate) fn run_one(&self, target: &str, test: &str, mutant: Option<&str>) -> Result<Outcome, String> {
        self.run(target, &["--exact".into(), test.into()], mutant, (&[], LIMIT_OF_ONE))
    }

    /// Runs all tests of a target that belong to the engine, under a mutant or under none.
    pub(crate) fn run_all(
        &self,
        target: &str,
        whose: Whose,
        mutant: Option<&str>,
    ) -> Result<Outcome, String> {
        let of_other: &[&str] = match whose {
            Whose::Bitcask => &["lsm::", "lsm_"],
            Whose::Lsm => &["bitcask::", "bitcask_"],
            Whose::Both => &[],
        };
        let left_out = LEFT_OUT.iter().filter(|(of, _)| *of == target).map(|(_, test)| *test);
        let skipped = left_out.chain(of_other.iter().copied());
        let arguments = skipped.flat_map(|test| ["--skip".to_string(), test.to_string()]);
        self.run(target, &arguments.collect::<Vec<_>>(), mutant, (FEWER, LIMIT_OF_ALL))
    }

    fn run(
        &self,
        target: &str,
        arguments: &[String],
        mutant: Option<&str>,
        (settings, limit): (&[(&str, &str)], Duration),
    ) -> Result<Outcome, String> {
        let binary = self.binaries.get(target).ok_or_else(|| format!("no test target {target}"))?;
        // To a file: a process that is ended may leave children that hold a pipe.
        let said = self.tree.with_extension("said");
        let file = File::create(&said).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        command.args(arguments).args(["--test-threads", "2"]).current_dir(&self.tree);
        command.env_remove("KVS_MUTANT").envs(mutant.map(|name| ("KVS_MUTANT", name)));
        command.envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let ended = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break Some(status),
                None if begun.elapsed() >= limit => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        if ended.is_none() {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
        }
        let said = fs::read(&said).map_err(|error| error.to_string())?;
        Ok(Outcome::read(&String::from_utf8_lossy(&said), ended.is_none()))
    }
}

impl Outcome {
    /// From what a test binary says.
    fn read(said: &str, hung: bool) -> Outcome {
        let verdict = |line: &str, verdict: &str| {
            let name = line.strip_prefix("test ")?.split_once(" ... ")?;
            name.1.trim_end().ends_with(verdict).then(|| name.0.to_string())
        };
        Outcome {
            passed: said.lines().filter_map(|line| verdict(line, "ok")).count(),
            failed: said.lines().filter_map(|line| verdict(line, "FAILED")).collect(),
            hung,
            died: !hung && !said.contains("\ntest result: "),
        }
    }
}
