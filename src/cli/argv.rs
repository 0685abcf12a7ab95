//! The argument list, arranged so that clap reads it as a person means it.
//!
//! Two things that clap alone gets wrong:
//!
//! 1. The argument behind `set KEY` is the value, whatever it looks like: `kvs set k -v` stores
//!    `-v`. Clap would take it for a flag that it knows.
//! 2. `-o` before the verb and `-o` behind it add up. Clap would forget the first ones.

use clap::{ArgMatches, Command};
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
    let verb = positional(command, None, args, first)?;
    let sub = command.find_subcommand(&args[verb]);
    let hoisted = (first..verb).any(|i| args[i].as_encoded_bytes().starts_with(b"-o"));
    let mut rest: Vec<OsString> = Vec::new();
    let mut pair: Vec<OsString> = Vec::new();
    if args[verb] == "set" {
        let key = positional(command, sub, args, verb + 1);
        match key.filter(|&key| args.get(key + 1).is_some_and(|value| is_option(value))) {
            Some(key) => {
                rest.extend_from_slice(&args[verb + 1..key]);
                rest.extend_from_slice(&args[key + 2..]);
                pair = [OsStr::new("--"), &args[key], &args[key + 1]].map(OsString::from).to_vec();
            }
            None if !hoisted => return None,
            None => rest.extend_from_slice(&args[verb + 1..]),
        }
    } else if hoisted {
        rest.extend_from_slice(&args[verb + 1..]);
    } else {
        return None;
    }
    let mut out = args[..first].to_vec();
    out.push(args[verb].clone());
    out.extend_from_slice(&args[first..verb]);
    out.extend(rest);
    out.extend(pair);
    Some(out)
}

/// The first argument from `i` on that is neither an option nor an option's value; none behind `--`.
fn positional(command: &Command, sub: Option<&Command>, args: &[OsString], mut i: usize) -> Option<usize> {
    while is_option(args.get(i)?) {
        if args[i] == "--" {
            return None;
        }
        i += if awaits_value(command, sub, &args[i]) { 2 } else { 1 };
    }
    Some(i)
}

fn is_option(arg: &OsStr) -> bool {
    arg.len() > 1 && arg.as_encoded_bytes().starts_with(b"-")
}

/// Whether the next argument belongs to this one: `-p DIR`, but not `-pDIR` and `--path=DIR`.
fn awaits_value(command: &Command, sub: Option<&Command>, arg: &OsStr) -> bool {
    let Some(text) = arg.to_str() else { return false };
    let known = || command.get_arguments().chain(sub.into_iter().flat_map(|sub| sub.get_arguments()));
    if let Some(long) = text.strip_prefix("--") {
        return known().any(|a| a.get_long() == Some(long) && a.get_action().takes_values());
    }
    let takes = |short| known().any(|a| a.get_short() == Some(short) && a.get_action().takes_values());
    // In `-qp DIR` the first letter that takes a value takes all that follows it.
    text[1..].find(takes).is_some_and(|at| at + 2 == text.len())
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
            ("kvs -p d set k --json", "kvs set -p d -- k --json"),
            ("kvs -qp d set -e bitcask k -q --get", "kvs set -qp d -e bitcask --get -- k -q"),
            ("kvs --path=d set k -- -q", "kvs set --path=d -q -- k --"),
        ] {
            assert_eq!(arranged(line).as_deref(), Some(want));
        }
        for line in
            ["kvs set k v -q", "kvs set k", "kvs set -- k -v", "kvs get -q k", "kvs set k -", "kvs -V"]
        {
            assert_eq!(arranged(line), None, "{line}");
        }
    }

    #[test]
    fn options_before_the_verb_go_behind_it() {
        assert_eq!(arranged("kvs -o a=1 get -o b=2 k").as_deref(), Some("kvs get -o a=1 -o b=2 k"));
    }
}
