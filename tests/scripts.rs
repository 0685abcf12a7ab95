//! Stories as text: each file of `tests/scripts/` is commands, a rule, and what every engine that its
//! first line names must say. The words are in `src/survive/script.rs`.
//!
//! `UPDATE_SCRIPTS=1 cargo test --test scripts` writes what the first engine says into the files; read
//! the difference before you commit it.

#![expect(clippy::disallowed_methods, reason = "golden files are read and written where they lie")]
#![expect(clippy::unwrap_used, reason = "a test may")]

#[macro_use]
mod common;

use common::engines::{ALL, Setup, Store};
use kvs::survive::script::file::{Block, Script};
use kvs::survive::script::session::Session;
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
            files.retain(|file| file.extension().is_some_and(|end| end == "txt"));
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
    let script = Script::read(&golden).unwrap_or_else(|error| panic!("{name}: {error}"));
    let setup = |name: &String| ALL.iter().find(|setup| setup.name == name).expect("an engine's name");
    let setups: Vec<_> = script.engines.iter().map(setup).collect();
    let said: Vec<_> = setups.iter().map(|setup| say(&script, setup)).collect();
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        fs::write(&path, &said[0]).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (setup, said) in setups.iter().zip(&said) {
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

/// Runs it on one engine; returns what the file should look like.
fn say(script: &Script, setup: &Setup) -> String {
    let settings = if setup.is_kept() { &script.options[..] } else { &[] };
    let mut session = Session::new(Store::with_settings(setup, settings));
    let mut blocks = vec![script.header.join("\n")];
    blocks.extend(script.blocks.iter().map(|block| say_block(&mut session, block)));
    blocks.join("\n\n") + "\n"
}

fn say_block(session: &mut Session<Store>, block: &Block) -> String {
    let mut said: Vec<_> = block.commands.iter().flat_map(|command| session.run(command)).collect();
    if said.is_empty() {
        said.push("ok".into());
    }
    let rule = if block.commands.is_empty() { String::new() } else { format!("\n---\n{}", said.join("\n")) };
    block.lines.join("\n") + &rule
}
