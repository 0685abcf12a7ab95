//! Pairs as SET commands of the Redis protocol.
//!
//! ```text
//! pair := "*3\r\n$3\r\nSET\r\n" bulk bulk
//! bulk := "$" length "\r\n" bytes "\r\n"
//! ```

use crate::cli::failure::Failure;
use crate::cli::pairs::{Lines, PairReader, PairWriter, Unwritable};
use crate::engine::batch::MAX_VALUE_LEN;
use std::io::Write;

/// Reads commands.
pub(crate) struct RespReader {
    lines: Lines,
    line: Vec<u8>,
    command: u64,
}

impl RespReader {
    pub(crate) fn new(lines: Lines) -> RespReader {
        RespReader { lines, line: Vec::new(), command: 0 }
    }

    fn wrong(&self, reason: &str) -> Failure {
        Failure::usage(reason).at(&self.place())
    }

    /// The number in a line that begins with `mark`; `None` at the end of the input.
    fn header(&mut self, mark: u8) -> Result<Option<usize>, Failure> {
        if !self.lines.read(b'\n', &mut self.line)? {
            return Ok(None);
        }
        let number = self.line.strip_prefix(&[mark]).and_then(|rest| rest.strip_suffix(b"\r"));
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match number {
            Some(number) if number <= MAX_VALUE_LEN => Ok(Some(number)),
            Some(_) => Err(self.wrong("longer than a value can be")),
            None => {
                let reason =
                    format!("a line of the Redis protocol begins with {} and a number", mark as char);
                Err(self.wrong(&reason))
            }
        }
    }

    fn bulk(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let len = self.header(b'$')?;
        let is_whole = match len {
            Some(len) => self.lines.read_exact(len, out)? && self.lines.read_exact(2, &mut self.line)?,
            None => false,
        };
        match is_whole {
            false => Err(self.wrong("the command is cut")),
            true if self.line != b"\r\n" => Err(self.wrong("a string is longer than its length says")),
            true => Ok(()),
        }
    }
}

impl PairReader for RespReader {
    fn read(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool, Failure> {
        self.command += 1;
        let count = match self.header(b'*')? {
            None => return Ok(false),
            Some(count) => count,
        };
        if count != 3 {
            return Err(self.wrong("only SET KEY VALUE can be imported"));
        }
        self.bulk(key)?;
        if !key.eq_ignore_ascii_case(b"SET") {
            return Err(self.wrong("only SET KEY VALUE can be imported"));
        }
        self.bulk(key)?;
        self.bulk(value)?;
        Ok(true)
    }

    fn place(&self) -> String {
        format!("command {}", self.command)
    }

    fn bytes(&self) -> u64 {
        self.lines.bytes
    }
}

/// Writes commands.
pub(crate) struct RespWriter;

impl PairWriter for RespWriter {
    fn write(&mut self, out: &mut dyn Write, key: &[u8], value: &[u8]) -> Result<(), Unwritable> {
        write!(out, "*3\r\n$3\r\nSET\r\n${}\r\n", key.len())?;
        out.write_all(key)?;
        write!(out, "\r\n${}\r\n", value.len())?;
        out.write_all(value)?;
        Ok(out.write_all(b"\r\n")?)
    }
}
