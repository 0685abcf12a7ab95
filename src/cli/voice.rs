//! Standard error: failures, notes and events, for people or as JSON.

use crate::cli::failure::{Failure, Told};
use crate::cli::style::{Color, Style};
use crate::engine::event::Event;
use clap::builder::styling::{AnsiColor, Style as Ansi};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};

/// How we speak on standard error. A standard error that can not be written is no reason to fail.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    json: bool,
    color: bool,
    quiet: bool,
    verbose: bool,
    /// Says usage errors in one line.
    brief: bool,
    line: Option<u64>,
}

impl Voice {
    /// As the arguments say, read without understanding them: they may be wrong.
    pub fn of(args: &[OsString]) -> Voice {
        let json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
        let color = Color::of(args).applies(std::io::stderr().is_terminal());
        Voice { json, color, ..Voice::default() }
    }

    /// As the style says.
    pub(crate) fn new(style: &Style) -> Voice {
        Voice {
            json: style.json,
            color: style.color.applies(std::io::stderr().is_terminal()),
            quiet: style.quiet,
            verbose: style.verbose,
            ..Voice::default()
        }
    }

    /// The same voice, about a line that was typed, or one of a script by its number.
    pub(crate) fn about_line(&self, line: Option<u64>) -> Voice {
        Voice { brief: true, line, ..self.clone() }
    }

    /// Tells a failure.
    pub fn fail(&self, failure: &Failure) {
        match failure {
            Failure::ClosedPipe => {}
            Failure::Usage(error) if self.json => self.object("usage", &in_one_line(error), None),
            Failure::Usage(error) if self.brief => self.text(&in_one_line(error), None),
            Failure::Usage(error) => {
                let text = error.render().to_string();
                match text.strip_prefix("error: ") {
                    Some(text) => self.text(text.trim_end(), None),
                    // The help, to one who gave no command.
                    None => _ = error.print(),
                }
            }
            Failure::Told(Told { kind, message, hint, .. }) => match self.json {
                true => self.object(kind, message, hint.as_deref()),
                false => self.text(message, hint.as_deref()),
            },
        }
    }

    /// Says something that is good to know, unless asked to be quiet.
    pub(crate) fn note(&self, text: &str) {
        match (self.quiet, self.json) {
            (true, _) => {}
            (false, true) => self.put(&serde_json::json!({ "note": text }).to_string()),
            (false, false) => self.put(&format!("kvs: {text}")),
        }
    }

    /// Says something that a person who watches likes to know, or one who asked with `-v`.
    pub(crate) fn remark(&self, text: &str) {
        if self.verbose || std::io::stderr().is_terminal() {
            self.note(text);
        }
    }

    /// Tells what happened inside the store.
    pub(crate) fn event(&self, event: &Event) {
        match self.json {
            true => self.put(&serde_json::json!({ "event": event.to_string() }).to_string()),
            false => self.put(&format!("kvs: {event}")),
        }
    }

    /// Whether events are wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether progress may be drawn.
    pub(crate) fn draws(&self) -> bool {
        !self.quiet && !self.json && std::io::stderr().is_terminal()
    }

    fn text(&self, message: &str, hint: Option<&str>) {
        let red = if self.color { AnsiColor::Red.on_default().bold() } else { Ansi::new() };
        let who = match self.line {
            Some(line) => format!("line {line}"),
            None => "kvs".to_string(),
        };
        let hint = hint.map(|hint| format!("\n  {hint}")).unwrap_or_default();
        self.put(&format!("{red}{who}:{red:#} {message}{hint}"));
    }

    fn object(&self, kind: &str, message: &str, hint: Option<&str>) {
        let mut object = serde_json::json!({ "error": kind, "message": message });
        if let Some(hint) = hint {
            object["hint"] = hint.into();
        }
        if let Some(line) = self.line {
            object["line"] = line.into();
        }
        self.put(&object.to_string());
    }

    fn put(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

/// What clap says over several lines, without the usage.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let is_end = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
    let said = text.lines().map(str::trim).take_while(|line| !is_end(line));
    let said: Vec<_> = said.filter(|line| !line.is_empty()).collect();
    said.join("; ").replace(":; ", ": ")
}
