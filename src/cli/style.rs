//! How bytes come in and answers go out: the arguments that every command takes.

use crate::cli::encoding::Encoding;
use clap::{Args, ColorChoice, ValueEnum};
use std::ffi::OsString;

/// How bytes come in and answers go out.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Style {
    /// Print one JSON object a line; bytes that are no UTF-8 as key_b64, value_b64
    #[arg(long, global = true)]
    pub json: bool,

    /// How keys and values are written, in arguments, input and output [default: as they are; on a
    /// terminal output is escaped]
    #[arg(long, global = true, value_name = "ENCODING")]
    pub enc: Option<Encoding>,

    /// End fields with a NUL byte instead of a tab or a newline, in input and output
    #[arg(short = '0', global = true)]
    pub nul: bool,

    /// When to use colors
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// Print no notes and no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Tell what happens inside the store
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

impl Style {
    /// How bytes in arguments and input are written.
    pub(crate) fn input(&self) -> Encoding {
        self.enc.unwrap_or(Encoding::Text)
    }

    /// This style where `line` does not say otherwise.
    pub(crate) fn with(&self, line: Style) -> Style {
        Style {
            json: self.json || line.json,
            enc: line.enc.or(self.enc),
            nul: self.nul || line.nul,
            color: if line.color == Color::Auto { self.color } else { line.color },
            quiet: self.quiet || line.quiet,
            verbose: self.verbose || line.verbose,
        }
    }
}

/// When to use colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// What the arguments say, read without understanding them: they may be wrong.
    pub(crate) fn of(args: &[OsString]) -> Color {
        let mut args = args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
        let mut color = Color::Auto;
        while let Some(arg) = args.next() {
            let name = if arg == "--color" { args.next() } else { arg.strip_prefix("--color=") };
            color = name.and_then(|name| Color::from_str(name, false).ok()).unwrap_or(color);
        }
        color
    }

    /// Whether it means colors on a stream that is a terminal or not.
    pub(crate) fn applies(self, terminal: bool) -> bool {
        match self {
            Color::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                terminal && !set("NO_COLOR") && !is_dumb
            }
            Color::Always => true,
            Color::Never => false,
        }
    }
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> ColorChoice {
        match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}
