//! Builds the programs that are libFuzzer, with the flags that let it see which edges are reached.

use crate::targets::{ALL, Target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs are, one for each target.
#[derive(Debug)]
pub(super) struct Programs(PathBuf);

/// Builds them, if need be. The flags stand in `fuzz/.cargo/config.toml`, which cargo finds when it is run in
/// that folder; so this does, wherever the driver is.
pub(super) fn programs() -> Result<Programs, String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = home.join("target/instrumented");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Flags in the environment would take the place of those in the file.
    cargo.current_dir(home).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
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
