//! Files that the user names, and the standard streams: what goes in and out beside the store.

#![expect(clippy::disallowed_types, reason = "the user's own files are no part of any store's disk")]

use crate::cli::failure::Failure;
use crate::cli::place::disk;
use crate::error::Error;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::Path;

const BUFFER_BYTES: usize = 256 << 10;

/// The longest text that is read as a whole.
const TEXT_BYTES: usize = 64 << 20;

/// Whether a FILE argument means the standard stream.
pub(crate) fn is_standard(file: Option<&OsStr>) -> bool {
    file.is_none_or(|file| file == "-")
}

/// Something to read.
pub(crate) struct Input {
    /// The bytes.
    pub reader: Box<dyn BufRead>,
    /// How many, if that is known.
    pub len: Option<u64>,
    /// What to call it in errors.
    pub name: String,
}

impl Input {
    /// Standard input.
    pub(crate) fn standard() -> Input {
        let reader = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
        Input { reader: Box::new(reader), len: None, name: "standard input".into() }
    }

    /// A file.
    pub(crate) fn file(path: &Path) -> Result<Input, Failure> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let meta = file.metadata().map_err(|e| Error::io("open", path, e))?;
        Ok(Input {
            reader: Box::new(BufReader::with_capacity(BUFFER_BYTES, file)),
            len: meta.is_file().then_some(meta.len()),
            name: path.display().to_string(),
        })
    }

    /// All of it; an error if it is longer than `limit`.
    pub(crate) fn read_all(self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let Input { reader, name, .. } = self;
        reader.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|e| Failure::input(&name, e))?;
        match bytes.len() > limit {
            true => Err(Failure::usage(format!("{name}: more than {limit} bytes"))),
            false => Ok(bytes),
        }
    }
}

/// Text of the user's, from a file or (`-`) standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let input = if path == Path::new("-") { Input::standard() } else { Input::file(path)? };
    let name = input.name.clone();
    let bytes = input.read_all(TEXT_BYTES)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name}: not text")))
}

/// Writes text into a file of the user's, as a whole or not at all; its directory is made.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::usage(format!("{}: no name of a file", path.display())))?;
    let dir = Dir::new(disk(), parent);
    dir.create_all()?;
    Ok(dir.replace(name, text.as_bytes(), Cause::Checkpoint)?)
}

/// Whether a person types what is read.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A file that is written from its beginning.
pub(crate) struct Target {
    out: BufWriter<File>,
}

impl Target {
    /// Makes the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Target, Failure> {
        let file = File::create(path).map_err(|e| Error::io("create", path, e))?;
        Ok(Target { out: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    /// Writes what is gathered, and waits until it is on the device, where there is one.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let file = self.out.get_ref();
        if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
