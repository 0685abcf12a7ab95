//! Files that the user names, and the standard streams: what goes in and out beside the store.

#![expect(clippy::disallowed_types, reason = "the user's own files are no part of any store's disk")]

use crate::cli::failure::{Failure, Stopped};
use crate::cli::interrupt;
use crate::cli::place::disk;
use crate::error::Error;
use crate::vfs::Cause;
use crate::vfs::dir::Dir;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, StdinLock, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

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
        let stdin = io::stdin().lock();
        let is_pipe = is_pipe_at_stdin(&stdin);
        let reader = BufReader::with_capacity(BUFFER_BYTES, Source { inner: stdin, is_pipe });
        Input { reader: Box::new(reader), len: None, name: "standard input".into() }
    }

    /// A file.
    pub(crate) fn file(path: &Path) -> Result<Input, Failure> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let meta = file.metadata().map_err(|e| Error::io("open", path, e))?;
        let source = Source { inner: file, is_pipe: is_pipe(&meta) };
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

/// What is read. An interrupt goes to all of a pipeline: it ends who writes into our pipe, and the end of
/// the pipe that this makes must not pass for the end of what was to be said.
struct Source<R> {
    inner: R,
    is_pipe: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        if len == 0 && self.is_pipe {
            if interrupt::is_or_comes() {
                return Err(io::Error::other(Stopped));
            }
            // Who asks again is told the same, at once.
            self.is_pipe = false;
        }
        Ok(len)
    }
}

fn is_pipe(meta: &Metadata) -> bool {
    meta.file_type().is_fifo() || meta.file_type().is_socket()
}

/// Whether standard input is a pipe; no, if it is closed.
fn is_pipe_at_stdin(stdin: &StdinLock<'_>) -> bool {
    let copy = stdin.as_fd().try_clone_to_owned().map(File::from);
    copy.and_then(|file| file.metadata()).is_ok_and(|meta| is_pipe(&meta))
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
