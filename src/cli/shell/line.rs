//! A line of the shell.

use crate::cli::argv;
use crate::cli::failure::Failure;
use crate::cli::style::Style;
use crate::cli::verb::Verb;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What a line says.
pub(crate) enum Entry {
    /// It is blank, or a comment.
    Nothing,
    /// A command of the shell itself.
    Dot(Dot),
    /// A verb, in this style.
    Verb(Style, Verb),
    /// It asked for help, and this is it.
    Said(String),
}

/// A command of the shell itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dot {
    Stats,
    Levels,
    Timing,
    Help,
    Exit,
}

#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, args_override_self = true, disable_help_subcommand = true)]
#[command(about = "The commands of the shell; .help also tells those that begin with a dot")]
struct Line {
    #[command(flatten)]
    style: Style,
    #[command(subcommand)]
    verb: Verb,
}

/// Reads a line.
pub(crate) fn read(text: &[u8]) -> Result<Entry, Failure> {
    let text = text.trim_ascii();
    if text.is_empty() || text.starts_with(b"#") {
        return Ok(Entry::Nothing);
    }
    match text {
        b".stats" => return Ok(Entry::Dot(Dot::Stats)),
        b".levels" => return Ok(Entry::Dot(Dot::Levels)),
        b".timing" => return Ok(Entry::Dot(Dot::Timing)),
        b".help" | b"help" | b"?" => return Ok(Entry::Dot(Dot::Help)),
        b".exit" | b".quit" | b"exit" | b"quit" => return Ok(Entry::Dot(Dot::Exit)),
        [b'.', ..] => return Err(Failure::usage(format!("{}: try .help", text.escape_ascii()))),
        _ => {}
    }
    let words = shlex::bytes::split(text).ok_or_else(|| Failure::usage("a quote is not closed"))?;
    let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
    let matches = argv::matches(Line::command(), words);
    match matches.and_then(|matches| Line::from_arg_matches(&matches)) {
        Ok(line) => Ok(Entry::Verb(line.style, line.verb)),
        Err(answer) if answer.exit_code() == 0 => {
            Ok(Entry::Said(answer.render().to_string().trim_end().to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The names of the verbs, for completion.
pub(crate) fn verbs() -> Vec<String> {
    let dots = [".stats", ".levels", ".timing", ".help", ".exit"].map(String::from);
    let line = Line::command();
    line.get_subcommands().map(|verb| verb.get_name().to_string()).chain(dots).collect()
}

/// What there is to say.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for verb in Line::command().get_subcommands() {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        text += &format!("{:<12} {about}\n", verb.get_name());
    }
    text + "\
.stats       the same as stats
.levels      the same as levels
.timing      print how long each line takes, or stop it
.help        this
.exit        leave; so does Ctrl-D

VERB --help says more about a verb."
}
