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
            reader: Box::new(BufReader::with_capacity(BUFFER_BYTES, source)),
            len: meta.is_file().then_some(meta.len()),
            name: path.display().to_string(),
        })
    }

    /// Whether there is nothing to read; waits for the first of it.
    pub(crate) fn is_empty(&mut self) -> Result<bool, Failure> {
        let begin = self.reader.fill_buf();
        begin.map(<[u8]>::is_empty).map_err(|e| Failure::input(&self.name, e))
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

/// The directory of a file, and its name there.
fn split(path: &Path) -> Result<(&Path, &str), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::usage(format!("{}: no name of a file", path.display())))?;
    Ok((parent, name))
}

/// Whether [`write_text`] could write this file, as far as can be told without leaving anything: for long work,
/// of which nothing must be lost in the end.
pub(crate) fn check_text(path: &Path) -> Result<(), Failure> {
    let (parent, _) = split(path)?;
    match path.is_dir() {
        true => Err(Error::io("create", path, io::ErrorKind::IsADirectory.into()).into()),
        false => check_dir(parent),
    }
}

/// Whether files can be made in this directory, which is made if it is not there.
pub(crate) fn check_dir(path: &Path) -> Result<(), Failure> {
    let failed = |kind: io::ErrorKind| Failure::from(Error::io("create a file in", path, kind.into()));
    for dir in path.ancestors() {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        match dir.metadata() {
            Ok(meta) if !meta.is_dir() => return Err(failed(io::ErrorKind::NotADirectory)),
            // It has no name, or loses it at once.
            Ok(_) => return tempfile::tempfile_in(dir).map(drop).map_err(|error| failed(error.kind())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.kind())),
        }
    }
    Ok(())
}

/// Writes text into a file of the user's, as a whole or not at all; its directory is made.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let (parent, name) = split(path)?;
    let dir = Dir::new(disk(), parent);
    dir.create_all()?;
    Ok(dir.replace(name, text.as_bytes(), Cause::Checkpoint)?)
}

/// Whether a person types what is read.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A file that is written from its beginning: what was there stays until all of it is written. A pipe or a
/// device is written straight, and so is what `/dev` and `/proc` name: open files, which others may hold.
pub(crate) struct Target {
    out: BufWriter<File>,
    /// Where it is written meanwhile, and what it becomes. Gone when it is dropped before.
    beside: Option<(TempPath, PathBuf)>,
}

impl Target {
    /// Begins a file. Fails where it could not be written in the end, and does not touch it.
    pub(crate) fn create(path: &Path) -> Result<Target, Failure> {
        let failed = |error| Failure::from(Error::io("create", path, error));
        let old = match OpenOptions::new().write(true).open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let meta = old.as_ref().map(File::metadata).transpose().map_err(failed)?;
        let is_straight = meta.as_ref().is_some_and(|meta| !meta.is_file())
            || ["/dev", "/proc"].iter().any(|dir| path.starts_with(dir));
        let (file, beside) = match old {
            Some(file) if is_straight => {
                if meta.is_some_and(|meta| meta.is_file()) {
                    file.set_len(0).map_err(failed)?;
                }
                (file, None)
            }
            _ => {
                let (file, beside) = beside(path, meta).map_err(failed)?;
                (file, Some(beside))
            }
        };
        Ok(Target { out: BufWriter::with_capacity(BUFFER_BYTES, file), beside })
    }

    /// Writes what is gathered, waits until it is on the device, where there is one, and puts it in its place,
    /// which is durable then too.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        let file = self.out.get_ref();
        if file.metadata()?.is_file() {
            file.sync_all()?;
        }
        match self.beside {
            Some((beside, path)) => {
                beside.persist(&path).map_err(|error| error.error)?;
                disk().sync_dir(path.parent().unwrap_or(Path::new("/")))
            }
            None => Ok(()),
        }
    }
}

/// A new file in the directory of `path`, and what it is to replace: where `path` is a link, what that names.
fn beside(path: &Path, old: Option<Metadata>) -> io::Result<(File, (TempPath, PathBuf))> {
    let path = whole(path)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    // As any new file; the umask takes from it.
    let mode = Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().prefix(".kvs-").permissions(mode).tempfile_in(parent)?;
    let (file, beside) = file.into_parts();
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    Ok((file, (beside, path)))
}

/// The path without links: of the file, or, if there is none yet, of its directory.
pub(crate) fn whole(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new(".")).canonicalize()?;
            Ok(parent.join(path.file_name().ok_or(error)?))
        }
        found => found,
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
