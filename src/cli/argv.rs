//! The argument list, arranged so that clap reads it as a person means it.
//!
//! Two things that clap alone gets wrong:
//!
//! 1. The argument behind `set KEY` is the value, whatever it looks like: `kvs set k -v` stores
//!    `-v`. Clap would take it for a flag that it knows.
//! 2. `-o` before a verb and `-o` behind it add up. Clap would forget the first ones. They go behind the last
//!    verb: `explain get` has two.

use clap::{Arg, ArgMatches, Command};
use std::ffi::{OsStr, OsString};

/// Reads the arguments as arranged; if that fails, as they stand, and it is that error which counts.
pub(crate) fn matches(mut command: Command, args: Vec<OsString>) -> clap::error::Result<ArgMatches> {
    if let Some(arranged) = arrange(&command, &args)
        && let Ok(matches) = command.try_get_matches_from_mut(arranged)
    {
        return Ok(matches);
    }
    command.try_get_matches_from(args)
}

/// The arguments in another order, if it takes one.
fn arrange(command: &Command, args: &[OsString]) -> Option<Vec<OsString>> {
    let first = if command.is_no_binary_name_set() { 0 } else { 1 };
    let (verb, commands) = last_verb(command, args, first)?;
    let (mut before, settings) = without_settings(&commands, &args[first..verb]);
    let mut rest = args[verb + 1..].to_vec();
    let mut pair: Vec<OsString> = Vec::new();
    if args[verb] == "set"
        && let Some(key) = positional(&commands, args, verb + 1)
        && args.get(key + 1).is_some_and(|value| is_option(value))
    {
        let (key, value) = (key - verb - 1, key - verb);
        pair = [OsStr::new("--"), &rest[key], &rest[value]].map(OsString::from).to_vec();
        rest.drain(key..=value);
    }
    if settings.is_empty() && pair.is_empty() {
        return None;
    }
    let mut out = args[..first].to_vec();
    out.append(&mut before);
    out.push(args[verb].clone());
    out.extend(settings);
    out.extend(rest);
    out.extend(pair);
    Some(out)
}

/// Where the last verb is (`get` of `explain get`), and the commands from the first to its own. Some take words of
/// their own before the next verb: `record FILE`.
fn last_verb<'a>(command: &'a Command, args: &[OsString], first: usize) -> Option<(usize, Vec<&'a Command>)> {
    let mut commands = vec![command];
    let (mut verb, mut at, mut words) = (None, first, 0);
    while let Some(last) = commands.last().filter(|last| last.has_subcommands()) {
        at = positional(&commands, args, at)?;
        match last.find_subcommand(&args[at]) {
            Some(sub) => {
                commands.push(sub);
                (verb, words) = (Some(at), 0);
            }
            None if words < last.get_positionals().count() => words += 1,
            None => return None,
        }
        at += 1;
    }
    Some((verb?, commands))
}

/// The arguments without each `-o`, alone or at the end of a bundle (`-qo`), and these as arguments of their own.
fn without_settings(commands: &[&Command], args: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
    let (mut others, mut settings) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = if is_option(arg) && awaits_value(commands, arg) { args.next() } else { None };
        let text = arg.to_str().filter(|text| is_option(arg) && !text.starts_with("--"));
        let found = text.and_then(|text| Some((text, taker(commands, text)?)));
        match found.filter(|(text, at)| text[*at..].starts_with('o')) {
            Some((text, at)) => {
                if at > 1 {
                    others.push(text[..at].into());
                }
                settings.push(format!("-{}", &text[at..]).into());
                settings.extend(value.cloned());
            }
            None => {
                others.push(arg.clone());
                others.extend(value.cloned());
            }
        }
    }
    (others, settings)
}

/// The first argument from `i` on that is neither an option nor an option's value; none behind `--`.
fn positional(commands: &[&Command], args: &[OsString], mut i: usize) -> Option<usize> {
    while is_option(args.get(i)?) {
        if args[i] == "--" {
            return None;
        }
        i += if awaits_value(commands, &args[i]) { 2 } else { 1 };
    }
    Some(i)
}

fn is_option(arg: &OsStr) -> bool {
    arg.len() > 1 && arg.as_encoded_bytes().starts_with(b"-")
}

/// The options that are known below the last of these commands.
fn options<'a>(commands: &[&'a Command]) -> impl Iterator<Item = &'a Arg> {
    let all: Vec<_> = commands.iter().flat_map(|command| command.get_arguments()).collect();
    all.into_iter().filter(|arg| arg.get_action().takes_values())
}

/// Whether the next argument belongs to this one: `-p DIR`, but not `-pDIR` and `--path=DIR`.
fn awaits_value(commands: &[&Command], arg: &OsStr) -> bool {
    let Some(text) = arg.to_str() else { return false };
    match text.strip_prefix("--") {
        Some(long) => options(commands).any(|arg| arg.get_long() == Some(long)),
        None => taker(commands, text).is_some_and(|at| at + 1 == text.len()),
    }
}

/// Where in `-qp` the first letter is that takes a value: all that follows it.
fn taker(commands: &[&Command], text: &str) -> Option<usize> {
    let takes = |short| options(commands).any(|arg| arg.get_short() == Some(short));
    text.char_indices().skip(1).find(|(_, short)| takes(*short)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::arrange;
    use crate::cli::command;
    use std::ffi::OsString;

    fn arranged(line: &str) -> Option<String> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let out = arrange(&command(), &args)?;
        Some(out.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_stands_behind_the_key_is_the_value() {
        for (line, want) in [
            ("kvs set k -v", "kvs set -- k -v"),
            ("kvs -p d set k --json", "kvs -p d set -- k --json"),
            ("kvs -qp d set -e bitcask k -q --get", "kvs -qp d set -e bitcask --get -- k -q"),
            ("kvs --path=d set k -- -q", "kvs --path=d set -q -- k --"),
            // The verb that is recorded was not looked at.
            ("kvs trace record t set k -v", "kvs trace record t set -- k -v"),
            ("kvs trace record -q t -p d set k -v", "kvs trace record -q t -p d set -- k -v"),
        ] {
            assert_eq!(arranged(line).as_deref(), Some(want));
        }
        for line in
            ["kvs set k v -q", "kvs set k", "kvs set -- k -v", "kvs get -q k", "kvs set k -", "kvs -V"]
        {
            assert_eq!(arranged(line), None, "{line}");
        }
    }

    // Before the second of two verbs, or in a bundle, -o was forgotten.
    #[test]
    fn options_before_the_verb_go_behind_it() {
        for (line, want) in [
            ("kvs -o a=1 get -o b=2 k", "kvs get -o a=1 -o b=2 k"),
            ("kvs -p o -oa=1 get k", "kvs -p o get -oa=1 k"),
            ("kvs -qo a=1 get k -o b=2", "kvs -q get -o a=1 k -o b=2"),
            ("kvs -o a=1 explain -vo b=2 get k -o c=3", "kvs explain -v get -o a=1 -o b=2 k -o c=3"),
            ("kvs -o a=1 trace record t get k -o b=2", "kvs trace record t get -o a=1 k -o b=2"),
            ("kvs trace -o a=1 record t -qob=2 set k -v", "kvs trace record t -q set -o a=1 -ob=2 -- k -v"),
        ] {
            assert_eq!(arranged(line).as_deref(), Some(want));
        }
        for line in
            ["kvs get -o a=1 k", "kvs -p d explain get k -o a=1", "kvs -o a=1 nosuch", "kvs -po get k"]
        {
            assert_eq!(arranged(line), None, "{line}");
        }
    }
}
