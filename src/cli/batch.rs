//! `kvs batch`: sets and removals read as lines, applied as one atomic write.

use crate::cli::encoding::Encoding;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::place::Need;
use crate::cli::session::Session;
use crate::engine::batch::{MAX_BATCH_BYTES, WriteBatch, check_key};
use crate::engine::options::WriteOptions;
use clap::Args;
use std::ffi::OsString;

/// Apply set and rm lines as one atomic write
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  printf 'set tea green\\nrm coffee\\n' | kvs batch
  kvs batch changes.txt
  kvs batch --enc escape < changes.txt

A line is `set KEY VALUE` or `rm KEY`, quoted as in a shell; blank lines and lines that begin with
# are skipped. Quotes are read first and the encoding after them, so put escapes in single quotes:
set key 'a\\x00b'. With -0 every word ends in a NUL byte, and nothing is quoted. All of it is
written, or, if a line is wrong or the write fails, nothing. rm of a key that is not there does
nothing.")]
pub(crate) struct Batch {
    /// Where the lines are; - or nothing: standard input
    file: Option<OsString>,
}

impl Batch {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let text = session.input(self.file.as_deref())?.read_all(4 * MAX_BATCH_BYTES)?;
        let encoding = session.style.input();
        let batch =
            if session.style.nul { from_words(&text, encoding) } else { from_lines(&text, encoding) }?;
        batch.validate()?;
        drop(text);
        let count = batch.len();
        // The last place at which nothing is written.
        interrupt::check()?;
        if !batch.is_empty() {
            session.store(Need::Create)?.write(batch, &WriteOptions::default())?;
        }
        match session.out.is_json() {
            true => session.out.object(&serde_json::json!({ "applied": count }))?,
            false => session.voice.remark(&format!("{count} steps applied")),
        }
        Ok(Outcome::Done)
    }
}

fn from_lines(text: &[u8], encoding: Encoding) -> Result<WriteBatch, Failure> {
    let mut batch = WriteBatch::new();
    for (i, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let at = |reason: String| Failure::usage(reason).at(&format!("line {}", i + 1));
        if line.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let words = shlex::bytes::split(line).ok_or_else(|| at("a quote is not closed".into()))?;
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match words[..] {
            [] => {}
            _ => step(&mut batch, &words, encoding).map_err(at)?,
        }
    }
    Ok(batch)
}

fn from_words(text: &[u8], encoding: Encoding) -> Result<WriteBatch, Failure> {
    let mut batch = WriteBatch::new();
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Ok(batch);
    }
    let words: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
    let mut rest = &words[..];
    while let Some(verb) = rest.first() {
        let len = if *verb == b"set" { 3 } else { 2 };
        let (words, tail) = rest.split_at(len.min(rest.len()));
        let number = batch.len() + 1;
        let at = |reason| Failure::usage(reason).at(&format!("step {number}"));
        step(&mut batch, words, encoding).map_err(at)?;
        rest = tail;
    }
    Ok(batch)
}

/// Adds what the words say.
fn step(batch: &mut WriteBatch, words: &[&[u8]], encoding: Encoding) -> Result<(), String> {
    let key = |word| {
        let key = encoding.decode(word).map_err(|reason| format!("KEY: {reason}"))?;
        check_key(&key).map_err(|e| e.to_string()).map(|()| key)
    };
    match words {
        [b"set", word, value] => {
            let value = encoding.decode(value).map_err(|reason| format!("VALUE: {reason}"))?;
            batch.set(&key(word)?, &value);
        }
        [b"rm", word] => batch.remove(&key(word)?),
        [b"set", ..] => return Err("write `set KEY VALUE`; quote what has spaces".into()),
        [b"rm", ..] => return Err("write `rm KEY`; quote what has spaces".into()),
        [other, ..] => return Err(format!("{}: neither set nor rm", other.escape_ascii())),
        [] => {}
    }
    Ok(())
}
