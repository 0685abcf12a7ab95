//! The command `kvs`.

use kvs::cli;
use kvs::cli::voice::Voice;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let voice = Voice::of(&args);
    match cli::run(args) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            voice.fail(&failure);
            failure.code()
        }
    }
}
