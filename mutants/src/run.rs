//! Runs tests under a mutant, until one of them tells.

use crate::build::Built;
use crate::reach::Test;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How much the tests try that can try more: enough to tell a mutant, and no more.
const FEWER: &[(&str, &str)] = &[
    ("KVS_CRASH_BUDGET", "few"),
    ("KVS_MODEL_CASES", "100"),
    ("KVS_MODEL_SHRINK", "0"),
    ("PROPTEST_CASES", "64"),
];

/// A mutant may ask for memory and disk without an end: kibibytes of the one, blocks of 512 or 1,024 bytes of
/// the other.
const LIMITS: &str = "ulimit -v 6000000 2>/dev/null; ulimit -f 4000000 2>/dev/null; ulimit -c 0; exec \"$@\"";

/// A test that takes up to this runs before those that take longer, whatever its target.
const QUICK: f64 = 0.5;

/// What came of a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// This test failed.
    Killed(String),
    /// This test did not come to an end.
    Timeout(String),
    /// All tests that reach it passed.
    Survived,
    /// The unit tests passed; the others were not asked yet.
    SurvivedUnitTests,
    /// No test reaches it, and so none can tell.
    Unreached,
    /// It does not compile.
    Unviable,
    /// It stands where nothing can be switched.
    Fixed,
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// All its tests passed.
    Green,
    /// This one failed, or took the process with it.
    Red(String),
    /// This one was running when time was up.
    Late(String),
}

/// A process that ended.
pub struct Ran {
    /// How.
    pub ended: Ended,
    /// After so long.
    pub seconds: f64,
}

/// Starts the test binaries, in a directory of its own for what they leave.
pub struct Runner {
    tree: PathBuf,
    binaries: BTreeMap<String, PathBuf>,
    dir: PathBuf,
}

impl Runner {
    /// A runner that keeps its files in `work`, apart from those of other numbers.
    pub fn new(built: &Built, work: &Path, number: usize) -> Result<Runner, String> {
        let dir = work.join(format!("runner-{number}"));
        let runner = Runner { tree: built.tree.path.clone(), binaries: built.binaries.clone(), dir };
        runner.clear()?;
        Ok(runner)
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tries a mutant on the tests that reach it: the quick ones first, and of those the ones that stand in the
    /// order of the targets.
    pub fn try_mutant(&self, number: u32, tests: &[Test]) -> Result<Outcome, String> {
        let reaching: Vec<_> =
            tests.iter().filter(|test| test.reaches.binary_search(&number).is_ok()).collect();
        if reaching.is_empty() {
            return Ok(Outcome::Unreached);
        }
        let mutant = ("KVS_MUTANT".to_string(), number.to_string());
        for batch in batches(&reaching) {
            let names: Vec<_> = batch.iter().map(|test| test.name.clone()).collect();
            let target = &batch[0].target;
            let usual: f64 = batch.iter().map(|test| test.seconds).sum();
            let ran = self.run(target, &names, &mutant, Duration::from_secs_f64(10.0 + 8.0 * usual))?;
            self.clear()?;
            match ran.ended {
                Ended::Green => {}
                Ended::Red(test) => return Ok(Outcome::Killed(format!("{target} {test}"))),
                Ended::Late(test) => return Ok(Outcome::Timeout(format!("{target} {test}"))),
            }
        }
        Ok(Outcome::Survived)
    }

    /// The tests of a target.
    pub fn names(&self, target: &str) -> Result<Vec<String>, String> {
        let mut command = Command::new(&self.binaries[target]);
        let done = command.args(["--list", "--format", "terse"]).current_dir(&self.tree).output();
        let said = done.map_err(|error| error.to_string())?.stdout;
        let said = String::from_utf8_lossy(&said);
        Ok(said.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_string).collect())
    }

    /// Runs these tests in one process, until the first that fails.
    pub fn run(
        &self,
        target: &str,
        names: &[String],
        setting: &(String, String),
        limit: Duration,
    ) -> Result<Ran, String> {
        // To a file: a process that is ended may leave children that hold a pipe.
        let said = self.dir.join("said");
        let file = File::create(&said).map_err(|error| error.to_string())?;
        let mut command = Command::new("sh");
        command.args(["-c", LIMITS, "sh"]).arg(&self.binaries[target]);
        command.args(["--test-threads", "1", "--exact"]).args(names);
        command.current_dir(&self.tree).env_remove("KVS_MUTANT").env_remove("KVS_MUTANT_TRACE");
        command.envs(FEWER.iter().copied()).env(&setting.0, &setting.1).env("TMPDIR", self.dir.join("tmp"));
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let ended = child.try_wait().map_err(|error| error.to_string())?;
            let late = begun.elapsed() >= limit;
            let text = fs::read(&said).map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&text);
            let failed = failed(&text);
            if ended.is_none() && !late && failed.is_none() {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
                continue;
            }
            if ended.is_none() {
                let _ = child.kill();
                child.wait().map_err(|error| error.to_string())?;
            }
            let ended = match (failed, ended) {
                (Some(test), _) => Ended::Red(test),
                (None, None) => Ended::Late(running(&text)),
                (None, Some(status)) if status.success() && text.contains("\ntest result: ok") => {
                    Ended::Green
                }
                (None, Some(_)) => Ended::Red(running(&text)),
            };
            return Ok(Ran { ended, seconds: begun.elapsed().as_secs_f64() });
        }
    }

    /// Empties the directory of what the tests have left.
    fn clear(&self) -> Result<(), String> {
        let tmp = self.dir.join("tmp");
        let _ = fs::remove_dir_all(&tmp);
        fs::create_dir_all(&tmp).map_err(|error| format!("{}: {error}", tmp.display()))
    }
}

/// Tests that run in one process: of one target, the quick ones of all targets first.
fn batches<'t>(tests: &[&'t Test]) -> Vec<Vec<&'t Test>> {
    let mut batches: BTreeMap<(bool, usize), Vec<&Test>> = BTreeMap::new();
    for test in tests {
        let target = crate::build::TARGETS.iter().position(|target| *target == test.target).unwrap_or(0);
        batches.entry((test.seconds > QUICK, target)).or_default().push(test);
    }
    batches.into_values().collect()
}

/// The first test that a binary says has failed.
fn failed(said: &str) -> Option<String> {
    said.lines().find_map(|line| {
        let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
        verdict.trim_end().ends_with("FAILED").then(|| name.trim_end_matches(" - should panic").to_string())
    })
}

/// The test that was running at the end of what a binary says.
fn running(said: &str) -> String {
    let last = said.lines().rev().find_map(|line| line.strip_prefix("test ")?.split_once(" ..."));
    last.map_or("before its first test", |(name, _)| name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_seen_before_the_end() {
        let said = "\nrunning 3 tests\ntest a::b ... ok\ntest a::c - should panic ... FAILED\ntest d ... ";
        assert_eq!(failed(said).as_deref(), Some("a::c"));
        assert_eq!(failed("test a ... ok\ntest b ... "), None);
    }

    #[test]
    fn who_is_late_is_the_last() {
        assert_eq!(running("running 2 tests\ntest a ... ok\ntest b ... "), "b");
    }
}
