//! Standard output: what a command answers, for people, for pipes, or as JSON.
//!
//! On a terminal bytes are escaped, into a pipe they are written as they are; `--enc` says otherwise.
//! Fields of a pair are separated by a tab and end in a newline, or all end in a NUL byte with `-0`.

use crate::cli::encoding::Encoding;
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::style::Style;
use clap::builder::styling::{AnsiColor, Style as Ansi};
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// What `get` and `rm` say of a key that is not there.
pub(crate) const NOT_FOUND: &str = "Key not found";

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// Standard output, locked for as long as the command runs.
#[derive(Debug)]
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    terminal: bool,
    json: bool,
    nul: bool,
    encoding: Encoding,
    color: bool,
}

impl Output {
    /// Standard output in this style.
    pub(crate) fn new(style: &Style) -> Output {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let mut output = Output {
            out: BufWriter::with_capacity(BUFFER_BYTES, stdout.lock()),
            terminal,
            json: false,
            nul: false,
            encoding: Encoding::Text,
            color: false,
        };
        output.restyle(style);
        output
    }

    /// Goes on in another style.
    pub(crate) fn restyle(&mut self, style: &Style) {
        let usual = if self.terminal { Encoding::Escape } else { Encoding::Text };
        self.encoding = style.enc.unwrap_or(usual);
        self.json = style.json;
        self.nul = style.nul;
        self.color = style.color.applies(self.terminal);
    }

    /// Whether answers are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// How bytes are written.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes, and nothing else.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.put(|out, _| out.write_all(bytes))
    }

    /// What a key holds, or that it is not there.
    pub(crate) fn found(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Failure> {
        match (value, self.json) {
            (Some(value), true) => self.put(|out, _| json::put_pair(out, key, value)),
            (Some(value), false) => self.fields(&[value]),
            (None, true) => self.put(|out, _| {
                out.write_all(b"{")?;
                json::put_bytes(out, "key", key)?;
                out.write_all(b",\"value\":null}\n")
            }),
            (None, false) => self.text(NOT_FOUND),
        }
    }

    /// That one key of several is not there.
    pub(crate) fn not_found(&mut self, key: &[u8]) -> Result<(), Failure> {
        let encoding = self.encoding;
        self.put(|out, _| {
            write!(out, "{NOT_FOUND}: ")?;
            encoding.encode(key, out)?;
            writeln!(out)
        })
    }

    /// A pair.
    pub(crate) fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        match self.json {
            true => self.put(|out, _| json::put_pair(out, key, value)),
            false => self.fields(&[key, value]),
        }
    }

    /// One half of a pair, by its name.
    pub(crate) fn half(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        match self.json {
            false => self.fields(&[bytes]),
            true => self.put(|out, _| {
                out.write_all(b"{")?;
                json::put_bytes(out, name, bytes)?;
                out.write_all(b"}\n")
            }),
        }
    }

    /// Something that holds or does not hold of a key; as text only if that is asked for.
    pub(crate) fn fact(&mut self, key: &[u8], name: &str, holds: bool) -> Result<(), Failure> {
        match self.json {
            false => self.fields(&[key, if holds { b"yes" } else { b"no" }]),
            true => self.put(|out, _| {
                out.write_all(b"{")?;
                json::put_bytes(out, "key", key)?;
                writeln!(out, ",\"{name}\":{holds}}}")
            }),
        }
    }

    fn fields(&mut self, fields: &[&[u8]]) -> Result<(), Failure> {
        let (encoding, nul) = (self.encoding, self.nul);
        let key = if self.color && fields.len() > 1 { AnsiColor::Cyan.on_default() } else { Ansi::new() };
        self.put(|out, _| {
            for (i, field) in fields.iter().enumerate() {
                let is_last = i + 1 == fields.len();
                if is_last || key.is_plain() {
                    encoding.encode(field, out)?;
                } else {
                    write!(out, "{key}")?;
                    encoding.encode(field, out)?;
                    write!(out, "{key:#}")?;
                }
                out.write_all(match (nul, is_last) {
                    (true, _) => b"\0",
                    (false, true) => b"\n",
                    (false, false) => b"\t",
                })?;
            }
            Ok(())
        })
    }

    /// A line of words.
    pub(crate) fn text(&mut self, line: &str) -> Result<(), Failure> {
        self.put(|out, _| writeln!(out, "{line}"))
    }

    /// An object on a line.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        self.put(|out, _| {
            serde_json::to_writer(&mut *out, object)?;
            out.write_all(b"\n")
        })
    }

    /// Whatever `write` writes; it is told whether colors are wanted.
    pub(crate) fn put(
        &mut self,
        write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>, bool) -> io::Result<()>,
    ) -> Result<(), Failure> {
        write(&mut self.out, self.color).map_err(|e| Failure::output("standard output", e))
    }

    /// Where a stream of pairs goes.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Everything up to here is out.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.put(|out, _| out.flush())
    }
}
