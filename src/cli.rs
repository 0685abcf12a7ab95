//! The command line: what `kvs` understands, and what it answers.
//!
//! One-shot commands: open, do one thing, exit. Each verb is a small struct that clap fills and a
//! `run` that is one call into the library; all verbs speak to `dyn KvsEngine` and do not know which
//! engine answers. Around them:
//!
//! - `place`: where the store is and how it is opened; `session`: the store, opened when needed;
//! - `output` and [`voice`]: standard output and standard error, for people or as JSON;
//! - `encoding`, `format`, `pairs`: bytes as text, streams of pairs;
//! - [`failure`]: what a failure is called, and its exit code.

mod advise;
mod argv;
mod batch;
mod bench;
mod compare;
mod crash;
mod encoding;
mod exists;
mod explain;
mod export;
pub mod failure;
mod format;
mod get;
mod import;
mod interrupt;
mod json;
mod lab;
mod levels;
mod look;
mod manual;
mod migrate;
mod options;
mod output;
mod pairs;
mod place;
mod progress;
mod range;
mod rm;
mod scan;
mod script;
mod session;
mod set;
mod shell;
mod stats;
mod stream;
mod style;
mod table;
mod torture;
mod trace;
mod upkeep;
mod verb;
pub mod voice;
mod watch;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place::Place;
use crate::cli::session::Session;
use crate::cli::style::{Color, Style};
use crate::cli::verb::Verb;
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "kvs",
    version,
    about = "A key-value store in a directory",
    arg_required_else_help = true,
    args_override_self = true,
    after_help = "Examples:
  kvs set tea green
  kvs get tea
  kvs -p ~/data scan --prefix user: --json

Environment: KVS_PATH and KVS_ENGINE stand for -p and -e; NO_COLOR means no colors.

Exit codes: 0 done, 1 the key is not there, 2 usage, 3 failed, 4 damage found, 130 interrupted."
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    style: Style,
    #[command(subcommand)]
    command: Command,
}

/// What there is to do. The order is the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(Verb),
    Shell(shell::Shell),
    Repair(look::Repair),
    Migrate(migrate::Migrate),
    Bench(bench::Bench),
    Compare(compare::Compare),
    Advise(advise::Advise),
    Trace(trace::Trace),
    Crash(crash::Crash),
    Torture(torture::Torture),
    Completions(manual::Completions),
    Man(manual::Man),
}

/// The headings of the help, and the commands below each.
const HEADINGS: [(&str, &[&str]); 5] = [
    ("Data", &["set", "get", "exists", "rm", "scan", "batch", "import", "export", "shell"]),
    ("Store", &["stats", "compact", "flush", "sync", "options", "verify", "repair", "checkpoint", "migrate"]),
    ("Look", &["inspect", "explain", "find", "levels"]),
    ("Lab", &["bench", "compare", "advise", "trace", "crash", "torture"]),
    ("Meta", &["completions", "man"]),
];

/// The command as clap knows it, with the commands in groups.
fn command() -> clap::Command {
    let command = Cli::command();
    let bold = command.get_styles().get_header();
    let name = command.get_styles().get_literal();
    let mut help = String::from("{about}\n\n{usage-heading} {usage}\n");
    for (heading, names) in HEADINGS {
        help += &format!("\n{bold}{heading}:{bold:#}\n");
        for verb in names.iter().filter_map(|verb| command.find_subcommand(verb)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            help += &format!("  {name}{:<12}{name:#} {about}\n", verb.get_name());
        }
    }
    help += &format!("\n{bold}Options:{bold:#}\n{{options}}{{after-help}}");
    command.help_template(help)
}

/// Reads the arguments. `Ok(None)`: they asked for help or for the version, and have it.
fn parse(args: Vec<OsString>) -> Result<Option<Cli>, Failure> {
    let command = command().color(Color::of(&args).into());
    // Clap looks at a variable also where an argument says otherwise, and takes it for an argument in what it says
    // of wrong ones. So it reads without them; only the help names them.
    let bare = command.clone().mut_args(|arg| arg.env(Resettable::Reset));
    let matches = argv::matches(bare, args.clone());
    let read = matches.and_then(|matches| {
        let is_path_typed = matches.value_source("path") == Some(ValueSource::CommandLine);
        Ok((Cli::from_arg_matches(&matches)?, is_path_typed))
    });
    match read {
        Ok((mut cli, is_path_typed)) => {
            cli.place.take_variables(is_path_typed, std::env::var_os)?;
            Ok(Some(cli))
        }
        Err(answer) if answer.exit_code() == 0 => {
            let answer =
                argv::matches(command, args).err().filter(|full| full.exit_code() == 0).unwrap_or(answer);
            answer.print().map_err(|e| Failure::output("standard output", e))?;
            Ok(None)
        }
        Err(error) => Err(Failure::from(error)),
    }
}

/// Does what the arguments ask. The first of them is the name of the program.
pub fn run(args: Vec<OsString>) -> Result<Outcome, Failure> {
    failure::catch(|| {
        let Some(cli) = parse(args)? else { return Ok(Outcome::Done) };
        let mut session = Session::new(cli.place, cli.style);
        interrupt::listen(session.voice.clone());
        let outcome = match cli.command {
            Command::Verb(verb) => verb.run(&mut session),
            Command::Shell(shell) => shell.run(&mut session),
            Command::Repair(verb) => verb.run(&mut session),
            Command::Migrate(verb) => verb.run(&mut session),
            Command::Bench(verb) => verb.run(&mut session),
            Command::Compare(verb) => verb.run(&mut session),
            Command::Advise(verb) => verb.run(&mut session),
            Command::Trace(verb) => verb.run(&mut session),
            Command::Crash(verb) => verb.run(&mut session),
            Command::Torture(verb) => verb.run(&mut session),
            Command::Completions(verb) => verb.run(&mut session, command()),
            Command::Man(verb) => verb.run(&mut session, command()),
        };
        // What was printed before a failure is printed.
        let flushed = session.out.flush();
        let outcome = outcome?;
        flushed.map(|()| outcome)
    })
}

#[cfg(test)]
mod tests {
    use super::{HEADINGS, command};
    use clap::Command;

    #[test]
    fn the_arguments_are_sound_and_every_command_is_under_a_heading_with_an_example() {
        command().debug_assert();
        for verb in command().get_subcommands() {
            let name = verb.get_name();
            assert!(HEADINGS.iter().any(|(_, names)| names.contains(&name)), "{name}: no heading");
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&format!("kvs {name}")), "{name}: no example");
        }
        for name in HEADINGS.iter().flat_map(|(_, names)| *names) {
            assert!(command().find_subcommand(name).is_some(), "{name}: no such command");
        }
    }

    // Clap breaks what is longer than 100 columns, in the middle of a sentence, and begins the next line anew.
    #[test]
    fn no_line_of_a_help_is_broken() {
        fn check(command: &Command) {
            let texts = [command.get_after_help(), command.get_after_long_help(), command.get_long_about()];
            for text in texts.into_iter().flatten().map(ToString::to_string) {
                for line in text.lines() {
                    assert!(line.chars().count() <= 98, "{}: {line}", command.get_name());
                }
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }
}
