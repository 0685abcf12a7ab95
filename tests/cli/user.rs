//! A user with a directory: runs the command, feeds it, and looks at what it answers.
#![expect(clippy::disallowed_methods, reason = "a user has files of their own")]
#![expect(clippy::unwrap_used, reason = "where a step of a test fails, the test fails")]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The engines that every test of behaviour runs on.
pub(crate) const ENGINES: [&str; 2] = ["bitcask", "lsm"];

/// A user of one engine, in a directory of their own.
pub(crate) struct User {
    pub(crate) engine: &'static str,
    pub(crate) dir: TempDir,
}

impl User {
    /// Runs the test once for each engine.
    pub(crate) fn each(test: impl Fn(&User)) {
        for engine in ENGINES {
            test(&User { engine, dir: tempfile::tempdir().unwrap() });
        }
    }

    /// The command, in the user's directory, without what the environment of the test says.
    pub(crate) fn kvs(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvs"));
        command.current_dir(self.dir.path()).env("KVS_ENGINE", self.engine);
        for name in ["KVS_PATH", "NO_COLOR", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        command
    }

    /// A line for the system's shell, in the user's directory.
    pub(crate) fn sh(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.current_dir(self.dir.path()).env("KVS_ENGINE", self.engine).args(["-c", script]);
        command
    }

    /// Runs it with these arguments.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Answer {
        self.feed(args, b"")
    }

    /// Runs it with a line of arguments, split at spaces.
    pub(crate) fn line(&self, line: &str) -> Answer {
        self.run(line.split(' '))
    }

    /// Runs it with these arguments and this on standard input.
    pub(crate) fn feed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Answer {
        let mut command = assert_cmd::Command::from_std(self.kvs());
        let output = command.args(args).write_stdin(input).output().unwrap();
        Answer {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it, with both ends of both pipes in our hands.
    pub(crate) fn start(&self, args: &str) -> Child {
        let mut command = self.kvs();
        command.args(args.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// The names in the user's directory.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What the command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Answer {
    /// It printed exactly this, said nothing else, and exits with 0.
    #[track_caller]
    pub(crate) fn prints(&self, text: impl AsRef<[u8]>) {
        self.answers(0, text);
        assert_eq!(self.stderr, "");
    }

    /// It printed exactly this and exits with `code`.
    #[track_caller]
    pub(crate) fn answers(&self, code: i32, text: impl AsRef<[u8]>) {
        let (got, want) = (self.stdout.escape_ascii(), text.as_ref().escape_ascii());
        assert_eq!(got.to_string(), want.to_string(), "{self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
    }

    /// It printed nothing, exits with `code`, and its complaint has these words.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        self.answers(code, "");
        assert!(self.stderr.contains(words), "{self:?}");
        let person = self.stderr.starts_with("kvs: ") || self.stderr.starts_with('{');
        assert!(person, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    /// The JSON object that it printed.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// Ends standard input, and waits; the exit code, and all of standard error.
pub(crate) fn finish(mut child: Child) -> (Option<i32>, String) {
    drop(child.stdin.take());
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

/// Sends a line.
pub(crate) fn say(child: &mut Child, line: &str) {
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(line.as_bytes()).unwrap();
    stdin.write_all(b"\n").unwrap();
    stdin.flush().unwrap();
}

/// Receives up to the end of a line.
pub(crate) fn hear(child: &mut Child) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Sends the process what Ctrl-C sends.
pub(crate) fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Bytes that look like nothing, from a seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}
