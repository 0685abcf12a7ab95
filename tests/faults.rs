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
    ForLsm,
    ForServer,
}

impl Waits {
    fn reason(self) -> &'static str {
        match self {
            Self::Now => "",
            Self::ForLsm => "the LSM tree is not built",
            Self::ForServer => "no server yet",
        }
    }
}

use Waits::{ForLsm, ForServer, Now};

/// Every row: its number, what goes wrong, and whether it concerns what there is. A row of both engines
/// is tested with Bitcask now; the rows of the LSM tree alone wait.
const ROWS: [(&str, &str, Waits); 59] = [
    ("c01", "a crash after every operation of the first opening", Now),
    ("c02", "a table is synced, and its edit is not there", ForLsm),
    ("c03", "an edit is durable, and its table is not", ForLsm),
    ("c04", "a new log exists, and nothing names it", ForLsm),
    ("c05", "a record is durable, and its file's name is not", Now),
    ("c06", "CURRENT renamed, the old MANIFEST removed, and only that is durable", ForLsm),
    ("c07", "CURRENT is empty, cut, or names another file", ForLsm),
    ("c08", "a crash between a flush's edit and the removal of its log", ForLsm),
    ("c09", "several logs that were not flushed", ForLsm),
    ("c10", "a log is torn, and the next one is not", ForLsm),
    ("c11", "a file in the middle was deleted by hand", Now),
    ("c12", "a crash after every operation of a merge", Now),
    ("c13", "a torn tail, and appends behind it", Now),
    ("c14", "a crash of the recovery itself", Now),
    ("c15", "a record's later page is durable, and its earlier is not", Now),
    ("c16", "a tail of zeros", Now),
    ("c17", "old bytes behind the new end", Now),
    ("c18", "a value that holds a record", Now),
    ("c19", "batches of every size", Now),
    ("c20", "what was cleared stays cleared", ForLsm),
    ("c21", "the last trace of a sequence number", ForLsm),
    ("c22", "sequence numbers at their end", ForLsm),
    ("k01", "every bit of every file", Now),
    ("k02", "a bit in the middle of the log", Now),
    ("k03", "a bit or a cut in the middle of the MANIFEST", Now),
    ("k04", "hints that are damaged, stale, or of another file", Now),
    ("k05", "lengths that lie", Now),
    ("k06", "every cut of every file", Now),
    ("k07", "tables that were exchanged", ForLsm),
    ("k08", "a damaged filter or index", ForLsm),
    ("k09", "a compaction meets a bad block", ForLsm),
    ("k10", "a merge meets a bad record", Now),
    ("k11", "values and keys that look like something else", Now),
    ("k12", "another engine, another format, no store at all", Now),
    ("e01", "fsync fails once", Now),
    ("e02", "an append fails, or is short, and then works", Now),
    ("e03", "errors that nobody hears of", Now),
    ("e04", "an edit of the MANIFEST fails, and more follow", ForLsm),
    ("e05", "no space", Now),
    ("e06", "reads fail, are short, or are interrupted", Now),
    ("e07", "no file descriptors", Now),
    ("e08", "a rename or a removal fails", Now),
    ("e09", "nothing may be written", Now),
    ("e10", "a background thread panics", Now),
    ("e11", "a second process, a second handle, a killed holder of the lock", Now),
    ("e12", "work that was left before the crash", Now),
    ("s01", "a tombstone moves into an empty level", ForLsm),
    ("s02", "a key's versions span two tables", ForLsm),
    ("s03", "a merge of some segments only, and a tombstone", Now),
    ("s04", "a merge copies a key that is being written", Now),
    ("s05", "set, merge, remove, merge, open", Now),
    ("s06", "a snapshot through flush and compaction", ForLsm),
    ("s07", "a merge removes the file of a reader in flight", Now),
    ("s08", "a cursor turns around beside a write", ForLsm),
    ("s09", "a compaction without output", ForLsm),
    ("s10", "sizes at their limits", Now),
    ("s11", "the clock jumps", Now),
    ("s12", "the same history on every engine", Now),
    ("s13", "the server is killed in the middle of a pipeline", ForServer),
];

/// The rows that tests are named after: `fn k05_evil_lengths` covers `k05`.
fn named_tests() -> BTreeMap<String, Vec<String>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in OsDisk.list(&dir).unwrap().iter().filter(|entry| entry.name.ends_with(".rs")) {
        let file = OsDisk.open(&dir.join(&entry.name), Cause::Inspect).unwrap();
        let mut bytes = vec![0; file.len() as usize];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for at in (0..lines.len()).filter(|at| lines[*at] == "#[test]") {
            // Other attributes may stand between; a test that is ignored covers nothing.
            let head =
                lines[at + 1..].iter().find(|line| !line.starts_with("#[") || line.starts_with("#[ignore"));
            let name = head.and_then(|line| line.strip_prefix("fn ")).unwrap_or_default();
            if let Some((row, _)) = name.split_once('_').filter(|(row, _)| is_row(row)) {
                rows.entry(row.to_string()).or_default().push(format!("{}: {name}", entry.name));
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

    let is_covered = |row: &str| tests.contains_key(row);
    let covered = ROWS.iter().filter(|(row, ..)| is_covered(row)).count();
    let mut waiting: BTreeMap<Waits, Vec<&str>> = BTreeMap::new();
    for (row, _, waits) in ROWS.iter().filter(|(row, ..)| !is_covered(row)) {
        waiting.entry(*waits).or_default().push(row);
    }
    println!("{covered} of {} rows have a named test", ROWS.len());
    for (waits, rows) in waiting.iter().filter(|(waits, _)| **waits != Now) {
        println!("{}: {} rows: {}", waits.reason(), rows.len(), rows.join(" "));
    }
    let missing = waiting.remove(&Now).unwrap_or_default();
    let about = |row: &&str| {
        ROWS.iter().find(|(other, ..)| other == row).map(|(row, about, _)| format!("{row}: {about}"))
    };
    let missing: Vec<_> = missing.iter().filter_map(about).collect();
    assert!(missing.is_empty(), "rows without a test:\n{}", missing.join("\n"));
}
