//! kvs beside other stores: the same workloads, on equal terms, by the runner of `kvs bench`.
//!
//! ```text
//! options ── stage         which workloads, on which stores, with which terms
//!    │
//!  suite ─────> one        each store, stage and round in a process of its own
//!    │           └ peer    a store behind a meter that is the same for all
//!    v              └ stores
//!  tables                  medians, and kvs in times of the best of the others
//! ```

mod disk;
mod one;
mod options;
mod peer;
mod stage;
mod stores;
mod suite;
mod tables;

use clap::Parser;
use kvs::bench::error::{Error, Result};
use options::Options;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    if let Some(dir) = &options.child {
        return suite::be_child(options, dir).map(|()| ExitCode::SUCCESS);
    }
    let (stores, stages) = (options.stores()?, options.stages()?);
    for stage in &stages {
        options.plan(stage).validate()?;
    }
    // Now, and not after an hour: the file may not be where one can write.
    let json = options.json.as_deref().map(|path| create(path).map(|file| (path, file))).transpose()?;
    let suite = suite::run(options, &stores, &stages)?;
    if let Some((path, file)) = json {
        save(&suite, file).map_err(|error| Error::plan(format!("{}: {error}", path.display())))?;
    }
    print!("{}", tables::markdown(&suite));
    let failed = suite.runs.iter().any(|run| run.failure.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| Error::plan(format!("{}: {error}", path.display())))
}

fn save(suite: &suite::Suite, file: File) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, suite)?;
    file.flush()
}
