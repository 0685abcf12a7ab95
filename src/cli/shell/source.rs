//! Where the shell's lines come from: a person with an editor, or a stream.

use crate::cli::failure::Failure;
use crate::cli::interrupt;
use crate::cli::place;
use crate::cli::shell::line;
use crate::cli::stream::{self, Input};
use crate::vfs::dir::Dir;
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use std::io::BufRead;
use std::path::PathBuf;

const PROMPT: &str = "kvs> ";

/// Lines, one after the other.
pub(crate) enum Source {
    /// A person types them.
    Terminal {
        /// Knows the verbs, and what was typed before.
        editor: Box<Editor<Verbs, FileHistory>>,
        /// Where that is kept, if it can be.
        history: Option<PathBuf>,
    },
    /// They come from a pipe or a file.
    Stream(Input),
}

impl Source {
    /// Standard input.
    pub(crate) fn standard() -> Source {
        let editor = stream::stdin_is_terminal().then(Editor::new).and_then(Result::ok);
        let Some(mut editor) = editor else { return Source::Stream(Input::standard()) };
        interrupt::end_lines_only();
        editor.set_helper(Some(Verbs(line::verbs())));
        editor.set_auto_add_history(true);
        let history = history();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Source::Terminal { editor: Box::new(editor), history }
    }

    /// Whether a person types.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Source::Terminal { .. })
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Source::Stream(input) => {
                let mut line = Vec::new();
                let read = input.reader.read_until(b'\n', &mut line);
                let len = read.map_err(|e| Failure::input(&input.name, e))?;
                Ok((len > 0).then_some(line))
            }
            Source::Terminal { editor, .. } => match editor.readline(PROMPT) {
                Ok(line) => Ok(Some(line.into_bytes())),
                // Ctrl-C gives up the line, not the shell.
                Err(ReadlineError::Interrupted) => Ok(Some(Vec::new())),
                Err(ReadlineError::Eof) => Ok(None),
                Err(ReadlineError::Io(error)) => Err(Failure::input("the terminal", error)),
                Err(error) => Err(Failure::input("the terminal", std::io::Error::other(error))),
            },
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Source::Terminal { editor, history: Some(path) } = self {
            // A history that can not be kept is no reason to fail.
            let _ = editor.save_history(path);
        }
    }
}

/// Where the history is kept, in the user's state directory; `None` if there can be none.
fn history() -> Option<PathBuf> {
    let dir = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = dir("XDG_STATE_HOME").or_else(|| Some(dir("HOME")?.join(".local/state")))?;
    let ours = state.join("kvs");
    Dir::new(place::disk(), &ours).create_all().ok()?;
    Some(ours.join("history"))
}

/// Completes the first word of a line.
#[derive(Debug)]
pub(crate) struct Verbs(Vec<String>);

impl Completer for Verbs {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let fits = |verb: &&String| verb.starts_with(&line[..at]);
        Ok((0, self.0.iter().filter(fits).map(|verb| format!("{verb} ")).collect()))
    }
}

impl Hinter for Verbs {
    type Hint = String;
}

impl Highlighter for Verbs {}
impl Validator for Verbs {}
impl Helper for Verbs {}
