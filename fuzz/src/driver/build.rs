//! Builds the programs that are libFuzzer, with the flags that let it see which edges are reached.

use crate::targets::{ALL, Target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs are, one for each target.
#[derive(Debug)]
pub(super) struct Programs(PathBuf);

/// What a program tells the fuzzer of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Watch {
    /// The edges that were taken, and what was compared with what, so that the fuzzer can put the other side of a
    /// comparison into its next input.
    #[default]
    Comparisons,
    /// The edges alone. Where a decoder compares at each byte, an execution takes half as long.
    Edges,
}

/// The flags for [`Watch::Edges`]. Those for both stand in the file, with the comparisons behind them.
const EDGES: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "--cfg=fuzzing",
];

/// Builds them, if need be. The flags stand in `fuzz/.cargo/config.toml`, which cargo finds when it is run in
/// that folder; so this does, wherever the driver is.
pub(super) fn programs(watch: Watch) -> Result<Programs, String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Flags in the environment take the place of those in the file.
    cargo.current_dir(home).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let target = match watch {
        Watch::Comparisons => home.join("target/instrumented"),
        Watch::Edges => {
            cargo.env("CARGO_ENCODED_RUSTFLAGS", EDGES.join("\x1f"));
            home.join("target/edges")
        }
    };
    cargo.args(["build", "--quiet", "--release", "--bins", "--target-dir"]).arg(&target);
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("the targets could not be built".into());
    }
    // They are in a folder that is named after this machine's kind.
    let folders = std::fs::read_dir(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let folders = folders.flatten().map(|folder| folder.path().join("release"));
    let built = folders.filter(|folder| ALL.iter().all(|target| folder.join(target.name).is_file())).min();
    built.map(Programs).ok_or_else(|| format!("{}: no program for each target", target.display()))
}

impl Programs {
    /// The program of a target.
    pub(super) fn of(&self, target: &Target) -> Command {
        Command::new(self.0.join(target.name))
    }
}

#[cfg(test)]
mod tests {
    use super::EDGES;

    /// Both watch the same edges, so that what one has found is of use to the other.
    #[test]
    fn without_comparisons_all_other_flags_are_the_same() {
        let file = include_str!("../../.cargo/config.toml");
        let quoted = file.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
        let flags: Vec<_> = quoted.filter(|flag| !flag.ends_with("trace-compares")).collect();
        assert_eq!(flags, EDGES);
        assert!(file.contains("trace-compares"));
    }
}
