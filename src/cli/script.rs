//! A script that a command was given, and the engines on which it is done.

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::stream::read_text;
use crate::engine::kind::EngineKind;
use crate::survive::script::file::Script;
use std::path::Path;

/// Reads a script, of all of which nothing is passed over in silence.
///
/// # Errors
/// For a file that can not be read, a line that is none of a script, and a script without a command.
pub(crate) fn read(file: &Path) -> Result<Script, Failure> {
    let wrong = |reason: String| Failure::usage(format!("{}: {reason}", file.display()));
    let script = Script::read(&read_text(file)?).map_err(|error| wrong(error.to_string()))?;
    match script.commands().is_empty() {
        true => Err(wrong("no command is in it: write them below the header and a blank line".into())),
        false => Ok(script),
    }
}

/// The engines that it names, or the one of them that was asked for; if it names none, the one that was asked
/// for or both. A script's options are those of its engines.
///
/// # Errors
/// For an engine that there is not, the one in memory, and one that is asked for and not named.
pub(crate) fn engines(session: &Session, file: &Path, script: &Script) -> Result<Vec<EngineKind>, Failure> {
    let file = file.display();
    let asked = session.place.named_engine();
    let kinds = match asked {
        Some(kind) if script.engines.is_empty() || script.engines.iter().any(|name| name == kind.name()) => {
            vec![kind]
        }
        Some(kind) => {
            let names = script.engines.join(", ");
            return Err(Failure::usage(format!(
                "{file}: is for {names}, and not for {kind}: name one of them with -e, or change its line engines:"
            )));
        }
        None if script.engines.is_empty() => vec![EngineKind::Bitcask, EngineKind::Lsm],
        None => script.engines.iter().map(|name| known(name, &file)).collect::<Result<_, _>>()?,
    };
    match kinds.contains(&EngineKind::Memory) {
        true => {
            Err(Failure::usage("memory has no disk that could fail or crash: name bitcask or lsm, with -e"))
        }
        false => Ok(kinds),
    }
}

/// The engine of this name.
fn known(name: &str, file: &impl std::fmt::Display) -> Result<EngineKind, Failure> {
    name.parse().map_err(|_| {
        Failure::usage(format!(
            "{file}: {name}, in its line engines:, is no engine that can be chosen here; take bitcask or lsm \
             with -e, if it names that too"
        ))
    })
}
