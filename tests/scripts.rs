//! Stories as text: each file of `tests/scripts/` is commands, a rule, and what every engine that its
//! first line names must say. The words are in `tests/common/script.rs`.
//!
//! `UPDATE_SCRIPTS=1 cargo test --test scripts` writes what the first engine says into the files; read
//! the difference before you commit it.

#![expect(clippy::disallowed_methods, reason = "golden files are read and written where they lie")]
#![expect(clippy::unwrap_used, reason = "a test may")]

#[macro_use]
mod common;

use common::engines::{ALL, Settings, Setup, Store};
use common::script::{Command, Session, read, read_commands, show};
use std::fs;
use std::path::PathBuf;

/// One test for each file, and one that no file was forgotten.
macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_script_is_a_test() {
            let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
            files.sort();
            let names: Vec<_> = files.iter().map(|f| f.file_stem().unwrap().to_str().unwrap()).collect();
            assert_eq!(names, [$(stringify!($name)),*], "list the files of tests/scripts in tests/scripts.rs");
        }
    };
}

scripts![
    batches,
    bitcask_files,
    bitcask_merge,
    cursors,
    empty_and_odd_bytes,
    long_values,
    ranges,
    reopening,
    single_keys,
    snapshots,
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

fn run(name: &str) {
    let path = folder().join(name).with_extension("txt");
    let golden = fs::read_to_string(&path).unwrap();
    let script = Script::read(&golden);
    let said: Vec<_> = script.setups.iter().map(|setup| script.run(setup)).collect();
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        fs::write(&path, &said[0]).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (setup, said) in script.setups.iter().zip(&said) {
        assert!(said == &expected, "{name} on {}:\n{}", setup.name, difference(&expected, said));
    }
}

/// The first lines that differ.
fn difference(expected: &str, said: &str) -> String {
    let (mut expected, mut said) = (expected.lines(), said.lines());
    for number in 1.. {
        match (expected.next(), said.next()) {
            (None, None) => break,
            (left, right) if left == right => {}
            (left, right) => {
                let (left, right) = (left.unwrap_or("(the end)"), right.unwrap_or("(the end)"));
                return format!("line {number}\n  expected: {left}\n  said:     {right}");
            }
        }
    }
    "only the ends of lines differ".into()
}

/// A file, cut into its blocks.
struct Script<'a> {
    header: Vec<&'a str>,
    setups: Vec<&'static Setup>,
    settings: Settings,
    /// The lines above each block's rule.
    blocks: Vec<Vec<&'a str>>,
}

impl<'a> Script<'a> {
    fn read(text: &'a str) -> Script<'a> {
        let mut blocks = text.split("\n\n").map(|block| block.trim_matches('\n'));
        let header: Vec<_> = blocks.next().unwrap().lines().collect();
        let field = |name: &str| header.iter().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        let setup = |name: &str| ALL.iter().find(|setup| setup.name == name).expect("an engine's name");
        let pair = |word: &str| word.split_once('=').map(|(k, v)| (k.to_string(), v.to_string())).unwrap();
        Script {
            setups: field("engines:").split_whitespace().map(setup).collect(),
            settings: field("options:").split_whitespace().map(pair).collect(),
            blocks: blocks.map(|block| block.lines().take_while(|line| *line != "---").collect()).collect(),
            header,
        }
    }

    /// Runs it on one engine; returns what the file should look like.
    fn run(&self, setup: &Setup) -> String {
        let settings = if setup.is_kept() { &self.settings[..] } else { &[] };
        let mut session = Session::new(Store::with_settings(setup, settings));
        let mut blocks = vec![self.header.join("\n")];
        for lines in &self.blocks {
            let commands = read_commands(lines).unwrap_or_else(|error| panic!("{error}"));
            let mut said: Vec<_> = commands.iter().flat_map(|command| session.run(command)).collect();
            if said.is_empty() {
                said.push("ok".into());
            }
            let rule =
                if commands.is_empty() { String::new() } else { format!("\n---\n{}", said.join("\n")) };
            blocks.push(lines.join("\n") + &rule);
        }
        blocks.join("\n\n") + "\n"
    }
}

#[test]
fn bytes_are_read_as_they_are_shown() {
    let samples: [&[u8]; 7] = [b"", b"plain", b"a b", b"\x00\xff", b"a..=b<:,*@#\"\\", &[b'x'; 300], b"*"];
    for bytes in samples {
        assert_eq!(read(&show(bytes)).as_deref(), Ok(bytes), "{}", show(bytes));
    }
    assert_eq!(read("ab*3").as_deref(), Ok(&b"ababab"[..]));
    assert_eq!(show(&b"ab".repeat(100)), "ab*100");
    assert!(read("\\x4").is_err() && read("\\xzz").is_err() && read("a*b").is_err());
}

#[test]
fn commands_are_read_as_they_are_shown() {
    let text = "set k \"\"\nrm k\nswap k\nswap k v\nbatch\n  set a 1\n  rm b\nget k\n@s get k\nscan a<..=b\n\
                rscan ..b\nwalk a.. : first, next, set k v, rm k, compact, seek k, prev, last\nsnapshot s\n\
                drop s\ncompact\nsync\nreopen\nstats keys\nfiles\ndump MANIFEST";
    let lines: Vec<_> = text.lines().collect();
    let commands = read_commands(&lines).unwrap();
    let shown: Vec<_> = commands.iter().map(Command::to_string).collect();
    assert_eq!(shown.join("\n"), text);
    for wrong in ["frob", "get", "set a", "scan a", "walk .. : jump", "  set a 1"] {
        assert!(read_commands(&[wrong]).is_err(), "{wrong}");
    }
}
