//! The catalogue of faults, row by row: each has a named test, or a reason why it has none yet.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kvs::vfs::os::OsDisk;
use kvs::vfs::{Cause, Vfs, read_exact_at};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What has to come before a row can be tested; `Now` has nothing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    Now,
    ForServer,
}

impl Waits {
    fn reason(self) -> &'static str {
        match self {
            Self::Now => "",
            Self::ForServer => "no server yet",
        }
    }
}

use Waits::{ForServer, Now};
use Whose::{All, Bitcask, Each, Lsm};

/// Which engines a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Each of them: its test is in a list of `on_each_engine`.
    Each,
    /// All at once, or none in particular: one test is enough.
    All,
    Bitcask,
    Lsm,
}

/// Its number, what goes wrong, whom it is about, and whether that is there.
type Row = (&'static str, &'static str, Whose, Waits);

/// Every row.
const ROWS: [Row; 59] = [
    ("c01", "a crash after every operation of the first opening", Each, Now),
    ("c02", "a table is synced, and its edit is not there", Lsm, Now),
    ("c03", "an edit is durable, and its table is not", Lsm, Now),
    ("c04", "a new log exists, and nothing names it", Lsm, Now),
    ("c05", "a record is durable, and its file's name is not", Each, Now),
    ("c06", "the MANIFEST is replaced, and the rename is lost", Lsm, Now),
    ("c07", "the MANIFEST is empty, cut, another store's, gone", Lsm, Now),
    ("c08", "a crash between a flush's edit and the removal of its log", Lsm, Now),
    ("c09", "several logs that were not flushed", Lsm, Now),
    ("c10", "a log is torn, and the next one is not", Lsm, Now),
    ("c11", "a file in the middle was deleted by hand", Each, Now),
    ("c12", "a crash after every operation of a merge", Bitcask, Now),
    ("c13", "a torn tail, and appends behind it", Bitcask, Now),
    ("c14", "a crash of the recovery itself", Each, Now),
    ("c15", "a record's later page is durable, and its earlier is not", Each, Now),
    ("c16", "a tail of zeros", Each, Now),
    ("c17", "old bytes behind the new end", Each, Now),
    ("c18", "a value that holds a record", Each, Now),
    ("c19", "batches of every size", Each, Now),
    ("c20", "what was cleared stays cleared", Lsm, Now),
    ("c21", "the last trace of a sequence number", Lsm, Now),
    ("c22", "sequence numbers at their end", Lsm, Now),
    ("k01", "every bit of every file", Each, Now),
    ("k02", "a bit in the middle of the log", Each, Now),
    ("k03", "a bit or a cut in the middle of the MANIFEST", Lsm, Now),
    ("k04", "hints that are damaged, stale, or of another file", Bitcask, Now),
    ("k05", "lengths that lie", Each, Now),
    ("k06", "every cut of every file", Each, Now),
    ("k07", "tables that were exchanged", Lsm, Now),
    ("k08", "a damaged filter or index", Lsm, Now),
    ("k09", "a compaction meets a bad block", Lsm, Now),
    ("k10", "a merge meets a bad record", Bitcask, Now),
    ("k11", "values and keys that look like something else", Each, Now),
    ("k12", "another engine, another format, no store at all", Each, Now),
    ("e01", "fsync fails once", Each, Now),
    ("e02", "an append fails, or is short, and then works", Each, Now),
    ("e03", "errors that nobody hears of", Each, Now),
    ("e04", "an edit of the MANIFEST fails, and more follow", Lsm, Now),
    ("e05", "no space", Each, Now),
    ("e06", "reads fail, are short, or are interrupted", Each, Now),
    ("e07", "no file descriptors", Each, Now),
    ("e08", "a rename or a removal fails", Each, Now),
    ("e09", "nothing may be written", Each, Now),
    ("e10", "a background thread panics", Each, Now),
    ("e11", "a second process, a second handle, a killed holder of the lock", Each, Now),
    ("e12", "work that was left before the crash", Each, Now),
    ("s01", "a tombstone moves into an empty level", Lsm, Now),
    ("s02", "a key's versions span two tables", Lsm, Now),
    ("s03", "a merge of some segments only, and a tombstone", Bitcask, Now),
    ("s04", "a merge copies a key that is being written", Bitcask, Now),
    ("s05", "set, merge, remove, merge, open", Bitcask, Now),
    ("s06", "a snapshot through flush and compaction", Lsm, Now),
    ("s07", "a merge removes the file of a reader in flight", Each, Now),
    ("s08", "a cursor turns around beside a write", Lsm, Now),
    ("s09", "a compaction without output", Lsm, Now),
    ("s10", "sizes at their limits", Each, Now),
    ("s11", "the clock jumps", Each, Now),
    ("s12", "the same history on every engine", All, Now),
    ("s13", "the server is killed in the middle of a pipeline", All, ForServer),
];

/// Tests of a row.
#[derive(Default)]
struct Tests {
    /// Tests as they stand.
    plain: Vec<String>,
    /// Functions over an engine, which are tests on each.
    each: Vec<String>,
}

/// The rows that tests are named after: `fn k05_evil_lengths` covers `k05`, if it is a test, or in a list
/// that makes it one on each engine.
fn named_tests() -> BTreeMap<String, Tests> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut rows: BTreeMap<String, Tests> = BTreeMap::new();
    for entry in OsDisk.list(&dir).unwrap().iter().filter(|entry| entry.name.ends_with(".rs")) {
        let file = OsDisk.open(&dir.join(&entry.name), Cause::Inspect).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let row_of =
            |name: &str| name.split_once('_').map(|(row, _)| row.to_string()).filter(|row| is_row(row));
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for at in (0..lines.len()).filter(|at| lines[*at] == "#[test]") {
            // Other attributes may stand between; a test that is ignored covers nothing.
            let head =
                lines[at + 1..].iter().find(|line| !line.starts_with("#[") || line.starts_with("#[ignore"));
            let name = head.and_then(|line| line.strip_prefix("fn ")).unwrap_or_default();
            if let Some(row) = row_of(name) {
                rows.entry(row).or_default().plain.push(format!("{}: {name}", entry.name));
            }
        }
        let lists = text.split("\non_each_engine!([").skip(1).filter_map(|rest| rest.split("])").next());
        for name in lists.flat_map(|list| list.split(',')).map(str::trim) {
            if let Some(row) = row_of(name) {
                rows.entry(row).or_default().each.push(format!("{}: {name}", entry.name));
            }
        }
    }
    rows
}

fn is_row(word: &str) -> bool {
    word.len() == 3 && word.starts_with(['c', 'k', 'e', 's']) && word[1..].bytes().all(|b| b.is_ascii_digit())
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let tests = named_tests();
    let known: BTreeSet<&str> = ROWS.iter().map(|(row, ..)| *row).collect();
    assert_eq!(known.len(), ROWS.len(), "each row once");
    let strangers: Vec<_> = tests.keys().filter(|row| !known.contains(&row[..])).collect();
    assert!(strangers.is_empty(), "tests of rows that there are not: {strangers:?}");

    let is_covered = |row: &str, whose: Whose| match tests.get(row) {
        Some(tests) if whose == Each => !tests.each.is_empty(),
        Some(_) => true,
        None => false,
    };
    let (covered, missing): (Vec<Row>, Vec<Row>) =
        ROWS.into_iter().partition(|(row, _, whose, _)| is_covered(row, *whose));
    println!("{} of {} rows have a named test", covered.len(), ROWS.len());
    let mut waiting: BTreeMap<Waits, Vec<&str>> = BTreeMap::new();
    for (row, _, _, waits) in missing.iter().filter(|(.., waits)| *waits != Now) {
        waiting.entry(*waits).or_default().push(row);
    }
    for (waits, rows) in waiting {
        println!("{}: {} rows: {}", waits.reason(), rows.len(), rows.join(" "));
    }
    let missing = missing.iter().filter(|(.., waits)| *waits == Now);
    let missing: Vec<_> =
        missing.map(|(row, about, whose, _)| format!("{row}, {whose:?}: {about}")).collect();
    assert!(missing.is_empty(), "rows without a test:\n{}", missing.join("\n"));
}
