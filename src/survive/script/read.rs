//! Reading commands from text. An error names the line.

use crate::engine::range::KeyRange;
use crate::error::Error;
use crate::survive::script::bytes::{read, read_range};
use crate::survive::script::show::{CALLS, ERRNOS};
use crate::survive::script::{Ack, Command, Crash, Failure, Look, Move, Settings, Step};

/// Why a script can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Error {
        Error::invalid(error.to_string())
    }
}

/// What is wrong with a line, before it is known which one it is.
type Line<T> = Result<T, String>;

/// Reads the commands of a block: what [`Command`] prints, one after the other. `first` is the number of
/// its first line in the file.
pub fn read_commands(lines: &[&str], first: usize) -> Result<Vec<Command>, ReadError> {
    let mut commands: Vec<Command> = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().collect();
        let below = line.starts_with([' ', '\t']);
        let read = match (below, commands.last_mut()) {
            _ if words.is_empty() => Ok(()),
            (false, _) => read_command(&words).map(|command| commands.push(command)),
            (true, Some(Command::Batch(_, steps))) => read_step(&words).map(|step| steps.push(step)),
            (true, Some(Command::Load(pairs))) => read_pair(&words).map(|pair| pairs.push(pair)),
            (true, _) => Err(format!("{}: indented, but not under a batch or load", line.trim())),
        };
        read.map_err(|reason| ReadError { line: first + at, reason })?;
    }
    Ok(commands)
}

fn read_command(words: &[&str]) -> Line<Command> {
    Ok(match words {
        ["set", key, value] => Command::Set(Ack::Usual, read(key)?, read(value)?),
        ["set!", key, value] => Command::Set(Ack::Durable, read(key)?, read(value)?),
        ["rm", key] => Command::Remove(Ack::Usual, read(key)?),
        ["rm!", key] => Command::Remove(Ack::Durable, read(key)?),
        ["swap", key] => Command::Swap(read(key)?, None),
        ["swap", key, value] => Command::Swap(read(key)?, Some(read(value)?)),
        ["batch"] => Command::Batch(Ack::Usual, Vec::new()),
        ["batch!"] => Command::Batch(Ack::Durable, Vec::new()),
        ["load"] => Command::Load(Vec::new()),
        ["snapshot", name] => Command::Snapshot(name_of(name)?),
        ["drop", name] => Command::Drop(name_of(name)?),
        ["compact"] => Command::Compact(KeyRange::all()),
        ["compact", range] => Command::Compact(read_range(range)?),
        ["flush"] => Command::Flush,
        ["settle"] => Command::Settle,
        ["sync"] => Command::Sync,
        ["checkpoint", name] => Command::Checkpoint(name_of(name)?),
        ["reopen"] => Command::Reopen,
        ["options", settings @ ..] => Command::Options(read_settings(settings)?),
        ["crash", "kill"] => Command::Crash(Crash::Kill),
        ["crash", "power", seed] => Command::Crash(Crash::Power(number(seed)?)),
        ["fail", call, nth, errno, how @ ..] => Command::Fail(read_failure(call, nth, errno, how)?),
        ["heal"] => Command::Heal,
        ["stats", "keys"] => Command::StatsKeys,
        ["files"] => Command::Files,
        ["dump", name] => Command::Dump(name_of(name)?),
        [first, look @ ..] if first.starts_with('@') => {
            Command::Look(Some(name_of(&first[1..])?), read_look(look)?)
        }
        look => Command::Look(None, read_look(look)?),
    })
}

fn read_look(words: &[&str]) -> Line<Look> {
    Ok(match words {
        ["get", key] => Look::Get(read(key)?),
        ["scan"] => Look::Scan(KeyRange::all()),
        ["scan", range] => Look::Scan(read_range(range)?),
        ["rscan"] => Look::Scan(KeyRange::all().reverse()),
        ["rscan", range] => Look::Scan(read_range(range)?.reverse()),
        ["walk", range, ":", moves @ ..] => {
            let moves = moves.join(" ");
            let moves = moves.split(',').map(|step| read_move(step.trim()));
            Look::Walk(read_range(range)?, moves.collect::<Line<_>>()?)
        }
        _ => return Err(format!("{}: no such command", words.join(" "))),
    })
}

fn read_move(text: &str) -> Line<Move> {
    let words: Vec<_> = text.split_whitespace().collect();
    Ok(match words[..] {
        ["first"] => Move::First,
        ["last"] => Move::Last,
        ["next"] => Move::Next,
        ["prev"] => Move::Prev,
        ["flush"] => Move::Flush,
        ["compact"] => Move::Compact,
        ["seek", key] => Move::Seek(read(key)?),
        _ => Move::Write(read_step(&words)?),
    })
}

fn read_step(words: &[&str]) -> Line<Step> {
    Ok(match words {
        ["set", key, value] => Step::Set(read(key)?, read(value)?),
        ["rm", key] => Step::Remove(read(key)?),
        _ => return Err(format!("{}: set k v, or rm k", words.join(" "))),
    })
}

fn read_pair(words: &[&str]) -> Line<(Vec<u8>, Vec<u8>)> {
    match words {
        ["set", key, value] => Ok((read(key)?, read(value)?)),
        _ => Err(format!("{}: set k v", words.join(" "))),
    }
}

fn read_failure(call: &str, nth: &str, errno: &str, how: &[&str]) -> Line<Failure> {
    let calls = CALLS.iter().find(|(word, _)| *word == call);
    let (_, call) = calls.ok_or_else(|| format!("{call}: one of {}", listed(&CALLS)))?;
    let errnos = ERRNOS.iter().find(|(word, _)| *word == errno);
    let (_, errno) = errnos.ok_or_else(|| format!("{errno}: one of {}", listed(&ERRNOS)))?;
    let (is_short, is_lasting) = match how {
        [] => (false, false),
        ["short"] => (true, false),
        ["lasting"] => (false, true),
        ["short", "lasting"] => (true, true),
        _ => return Err(format!("{}: short, lasting, or short lasting", how.join(" "))),
    };
    match number(nth)? {
        0 => Err("0: calls are counted from 1".into()),
        nth => Ok(Failure { call: *call, nth, errno: *errno, is_short, is_lasting }),
    }
}

fn listed<T>(words: &[(&str, T)]) -> String {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// Reads `name=value` words.
pub fn read_settings(words: &[&str]) -> Result<Settings, String> {
    let pair = |word: &&str| match word.split_once('=') {
        Some((name, value)) => Ok((name.to_string(), value.to_string())),
        None => Err(format!("{word}: name=value")),
    };
    words.iter().map(pair).collect()
}

fn number(text: &str) -> Line<u64> {
    text.parse().map_err(|_| format!("{text}: a number"))
}

/// The name of a snapshot or checkpoint, or of a file in the store's directory.
fn name_of(text: &str) -> Line<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && !text.starts_with('.') && text.chars().all(fine) {
        true => Ok(text.to_string()),
        false => Err(format!("\"{text}\": a name of letters, digits, - and _")),
    }
}

#[cfg(test)]
mod tests {
    use super::read_commands;
    use crate::survive::script::Command;
    use crate::survive::script::show::{CALLS, ERRNOS};

    fn shown(text: &str) -> String {
        let lines: Vec<_> = text.lines().collect();
        let commands = read_commands(&lines, 1).unwrap();
        commands.iter().map(Command::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn commands_are_read_as_they_are_shown() {
        let text = "set k \"\"\nset! k v\nrm k\nrm! k\nswap k\nswap k v\nbatch\n  set a 1\n  rm b\nbatch!\n  rm a\n\
                    load\n  set a 1\n  set b 2\nget k\n@s get k\nscan a<..=b\nrscan ..b\n\
                    walk a.. : first, next, set k v, rm k, flush, compact, seek k, prev, last\nsnapshot s\n\
                    drop s\ncompact\ncompact a..=b\nflush\nsettle\nsync\ncheckpoint c\nreopen\noptions\n\
                    options hints=false mmap=true\ncrash kill\ncrash power 7\nheal\nstats keys\nfiles\ndump MANIFEST";
        assert_eq!(shown(text), text);
        for (call, _) in CALLS {
            for (errno, _) in ERRNOS {
                for how in ["", " short", " lasting", " short lasting"] {
                    let text = format!("fail {call} 3 {errno}{how}");
                    assert_eq!(shown(&text), text);
                }
            }
        }
    }

    #[test]
    fn what_can_not_be_read_names_its_line() {
        let wrong = [
            "frob",
            "get",
            "set a",
            "scan a",
            "walk .. : jump",
            "  set a 1",
            "crash",
            "crash power x",
            "fail sync 0 EIO",
            "fail think 1 EIO",
            "fail sync 1 EPERM",
            "fail sync 1 EIO lasting short",
            "options hints",
            "checkpoint ../x",
            "@ get k",
        ];
        for wrong in wrong {
            let error = read_commands(&["sync", "# fine", "", wrong], 10).unwrap_err();
            assert_eq!(error.line, 13, "{error}");
        }
        let error = read_commands(&["load", "  rm a"], 1).unwrap_err();
        assert_eq!(error.to_string(), "line 2: rm a: set k v");
    }
}
