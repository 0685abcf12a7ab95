//! Streams of pairs: what all formats of `import` and `export` have in common. `format` chooses one.
//!
//! | format | a pair | any bytes |
//! |---|---|---|
//! | `jsonl` | `{"key":"tea","value":"green"}`; `key_b64`, `value_b64` where bytes are no UTF-8 | yes |
//! | `tsv` | the key, a tab, the value, a newline; with `-0`, key and value, each with a NUL behind it | with `--enc` |
//! | `resp` | `SET` as a command of the Redis protocol | yes |

pub(crate) mod jsonl;
pub(crate) mod resp;
pub(crate) mod tsv;

use crate::cli::encoding::Encoding;
use crate::cli::failure::Failure;
use crate::cli::stream::Input;
use std::io::{BufRead, Read, Write};

/// Bytes of a line, at most: the longest value in the widest encoding. Bounds what a file without
/// newlines can take.
const MAX_LINE_BYTES: u64 = 4 << 30;

/// How the fields of a format are written, where it leaves that open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// How bytes are written.
    pub encoding: Encoding,
    /// Whether fields end in a NUL byte.
    pub nul: bool,
}

/// Reads pairs.
pub(crate) trait PairReader {
    /// Reads the next pair into the buffers, in place of what they hold; `false` at the end.
    fn read(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool, Failure>;

    /// Where it is: `line 7`.
    fn place(&self) -> String;

    /// Bytes that it has read.
    fn bytes(&self) -> u64;
}

/// Writes pairs.
pub(crate) trait PairWriter {
    /// Writes one pair.
    fn write(&mut self, out: &mut dyn Write, key: &[u8], value: &[u8]) -> Result<(), Unwritable>;
}

/// Why a pair was not written.
#[derive(Debug)]
pub(crate) enum Unwritable {
    /// The stream failed.
    Io(std::io::Error),
    /// The format can not say these bytes.
    Format(&'static str),
}

impl From<std::io::Error> for Unwritable {
    fn from(error: std::io::Error) -> Unwritable {
        Unwritable::Io(error)
    }
}

/// An input that counts: what all readers stand on.
pub(crate) struct Lines {
    input: Input,
    number: u64,
    bytes: u64,
}

impl Lines {
    /// Nothing of `input` is read yet.
    pub(crate) fn new(input: Input) -> Lines {
        Lines { input, number: 0, bytes: 0 }
    }

    /// Reads up to `end` into `line`, without it; `false` if there is nothing more.
    fn read(&mut self, end: u8, line: &mut Vec<u8>) -> Result<bool, Failure> {
        line.clear();
        let mut limited = (&mut self.input.reader).take(MAX_LINE_BYTES);
        let read = limited.read_until(end, line);
        let len = read.map_err(|e| Failure::input(&self.input.name, e))?;
        self.bytes += len as u64;
        self.number += 1;
        if len as u64 == MAX_LINE_BYTES {
            return Err(self.wrong("the line is too long"));
        }
        if line.last() == Some(&end) {
            line.pop();
        }
        Ok(len > 0)
    }

    /// Reads `len` bytes into `out`; `false` if there are not so many. Takes no memory for bytes
    /// that do not come.
    fn read_exact(&mut self, len: usize, out: &mut Vec<u8>) -> Result<bool, Failure> {
        out.clear();
        let read = (&mut self.input.reader).take(len as u64).read_to_end(out);
        let read = read.map_err(|e| Failure::input(&self.input.name, e))?;
        self.bytes += read as u64;
        Ok(read == len)
    }

    /// The current line is wrong.
    fn wrong(&self, reason: impl Into<String>) -> Failure {
        Failure::usage(reason).at(&format!("line {}", self.number))
    }
}
