//! The experiments of the notes, done again: each table marked as measured is drawn anew, and compared.
//!
//! A page of `notes/experiments/` has a block of commands, and behind it what is to be read off them:
//!
//! ````text
//! ```sh
//! BITCASK='-e bitcask -o segment_bytes=64KiB'
//! for ratio in 0.2 0.5; do
//!     kvs $BITCASK -o merge_garbage_ratio=$ratio bench overwrite --stepped
//! done
//! ```
//!
//! <!-- measured
//! ratio     | $ratio
//! written   | overwrite /amplification/write .2
//! of merges | /ledger/rows/[cause=merge]/written_bytes per /ledger/total/written_bytes .2
//! -->
//! ````
//!
//! One turn of a loop, or one paragraph of commands, is one row of the table. A column is a variable of the
//! loop, or numbers of the reports that `kvs bench --json` prints, reckoned from left to right with `+`, `-`,
//! `times` and `per`, and how to print the result: decimals as `.2`, thousands parted as `,`, or `text`.
//! Words before a pointer name the engine and the workload of the report; without any it is the last one.
//! `[cause=merge]` stands for all members of an array of which that is so, and sums over them; a `*` at its
//! end stands for anything.
//!
//! `UPDATE_EXPERIMENTS=1` writes the pages anew. Tables of times have no such mark, and are not checked.

#![cfg(feature = "cli")]
#![expect(clippy::disallowed_methods, reason = "reads and writes pages, not stores")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::source::files;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

#[test]
fn the_measured_tables_are_what_comes_out() {
    let mut pages: Vec<Page> = folder().into_iter().map(|(name, text)| Page::read(name, &text)).collect();
    let mut rows: Vec<&mut Row> = pages.iter_mut().flat_map(Page::rows).collect();
    assert!(rows.len() >= 50, "{} rows", rows.len());
    run_all(&mut rows);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("notes/experiments");
    let mut stale = Vec::new();
    for page in &pages {
        let (path, drawn) = (root.join(&page.name), page.draw());
        let is_new = std::env::var_os("UPDATE_EXPERIMENTS").is_some();
        match first_difference(&fs::read_to_string(&path).unwrap(), &drawn) {
            Some(_) if is_new => fs::write(&path, drawn).unwrap(),
            Some(line) => stale.push(format!("{}: {line}", page.name)),
            None => {}
        }
    }
    let hint = "run with UPDATE_EXPERIMENTS=1, and read whether the words still fit:";
    assert!(stale.is_empty(), "{hint}\n{}", stale.join("\n"));
}

/// The pages, each with its text.
fn folder() -> Vec<(String, String)> {
    files(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("notes/experiments"), "md")
}

fn first_difference(old: &str, new: &str) -> Option<String> {
    let differs = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    let tell = |(old, new)| format!("the page has {old}\n    and there came {new}");
    differs.map(tell).or((old != new).then(|| "one has more lines than the other".to_string()))
}

// ---- pages ----

/// A page: text that stays, and tables between.
struct Page {
    name: String,
    parts: Vec<(String, Table)>,
    end: String,
}

/// A table marked as measured.
struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// What a column is called, and where its numbers come from.
#[derive(Debug, PartialEq)]
struct Column {
    head: String,
    source: String,
}

const MARK: &str = "<!-- measured\n";

impl Page {
    fn read(name: String, text: &str) -> Page {
        let mut page = Page { name, parts: Vec::new(), end: String::new() };
        let (mut script, mut rest) = (String::new(), text);
        while let Some((before, behind)) = rest.split_once(MARK) {
            if let Some((_, block)) = before.rsplit_once("```sh\n") {
                script = block.split("```").next().unwrap().to_string();
            }
            let (columns, behind) = behind.split_once("-->\n").expect("a mark is closed");
            let table = Table { columns: columns.lines().map(column).collect(), rows: rows(&script) };
            page.parts.push((format!("{before}{MARK}{columns}-->\n"), table));
            rest = behind.trim_start_matches('\n');
            while rest.starts_with('|') {
                rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            }
            rest = rest.trim_start_matches('\n');
        }
        page.end = rest.to_string();
        page
    }

    fn rows(&mut self) -> impl Iterator<Item = &mut Row> {
        self.parts.iter_mut().flat_map(|(_, table)| &mut table.rows)
    }

    fn draw(&self) -> String {
        let parts =
            self.parts.iter().map(|(before, table)| format!("{before}\n{}\n", table.draw(&self.name)));
        parts.collect::<String>() + &self.end
    }
}

fn column(line: &str) -> Column {
    let (head, source) = line.split_once(" | ").unwrap_or_else(|| panic!("no column: {line}"));
    Column { head: head.trim().to_string(), source: source.trim().to_string() }
}

impl Table {
    fn draw(&self, page: &str) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut drawn = line(self.columns.iter().map(|column| column.head.clone()).collect());
        drawn += &format!("|{}\n", "---|".repeat(self.columns.len()));
        for row in &self.rows {
            let cell = |column: &Column| {
                row.cell(&column.source).unwrap_or_else(|fault| panic!("{page}, {}: {fault}", column.head))
            };
            drawn += &line(self.columns.iter().map(cell).collect());
        }
        drawn
    }
}

// ---- commands ----

/// Commands that make one row of a table, and what they printed.
#[derive(Debug, Default)]
struct Row {
    variables: BTreeMap<String, String>,
    commands: Vec<Vec<String>>,
    reports: Vec<Value>,
}

/// The rows of a block of commands: as much of the shell as the pages need.
fn rows(script: &str) -> Vec<Row> {
    let script = script.replace("\\\n", " ");
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let mut rows = Vec::new();
    turn(&lines, &mut BTreeMap::new(), &mut rows);
    rows.retain(|row| !row.commands.is_empty());
    rows
}

/// Goes through lines once, with what variables there are.
fn turn(lines: &[&str], variables: &mut BTreeMap<String, String>, rows: &mut Vec<Row>) {
    let fresh = |variables: &BTreeMap<_, _>| Row { variables: variables.clone(), ..Row::default() };
    rows.push(fresh(variables));
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        if let Some(head) = line.strip_prefix("for ") {
            let (name, values) =
                head.trim_end_matches("; do").split_once(" in ").expect("for NAME in VALUES; do");
            let body = at..at + length_of_loop(&lines[at..]);
            for value in substitute(values, variables) {
                variables.insert(name.to_string(), value);
                turn(&lines[body.clone()], variables, rows);
            }
            at = body.end + 1;
            rows.push(fresh(variables));
        } else if let Some((name, value)) = line.split_once("='") {
            let value = substitute(value.trim_end_matches('\''), variables).join(" ");
            variables.insert(name.to_string(), value);
        } else if line.is_empty() {
            rows.push(fresh(variables));
        } else {
            let command = substitute(line, variables);
            assert_eq!(command[0], "kvs", "{line}");
            rows.last_mut().expect("one was pushed above").commands.push(command);
        }
    }
}

/// Lines up to the `done` that belongs to a `for`.
fn length_of_loop(lines: &[&str]) -> usize {
    let mut depth = 1;
    let ends = |line: &&str| {
        depth += usize::from(line.starts_with("for "));
        depth -= usize::from(*line == "done");
        depth == 0
    };
    lines.iter().position(ends).expect("a loop ends with done")
}

/// The words of a line, with the values of variables in place of their names.
fn substitute(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut line = line.to_string();
    // Longer names first: one may begin as another does.
    let mut names: Vec<&String> = variables.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        line = line.replace(&format!("${name}"), &variables[name]);
    }
    assert!(!line.contains('$'), "no such variable: {line}");
    line.split_whitespace().map(str::to_string).collect()
}

/// Runs the commands of all rows, several at a time.
fn run_all(rows: &mut [&mut Row]) {
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
    let rows = Mutex::new(rows.iter_mut());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let dir = tempfile::tempdir().unwrap();
                let next = || rows.lock().unwrap().next();
                while let Some(row) = next() {
                    let reports = row.commands.iter().flat_map(|command| run(command, dir.path()));
                    row.reports = reports.collect();
                }
            });
        }
    });
}

/// The reports of a command, one for each workload.
fn run(command: &[String], dir: &Path) -> Vec<Value> {
    assert!(command.iter().any(|word| word == "--stepped"), "not to be measured again: {command:?}");
    let mut kvs = Command::new(env!("CARGO_BIN_EXE_kvs"));
    kvs.args(&command[1..]).args(["--json", "--quiet"]).current_dir(dir);
    kvs.env_remove("KVS_PATH").env_remove("KVS_ENGINE");
    let output = kvs.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", command.join(" "));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// ---- numbers ----

impl Row {
    /// What stands in a cell.
    fn cell(&self, source: &str) -> Result<String, String> {
        if let Some(name) = source.strip_prefix('$') {
            return self.variables.get(name).cloned().ok_or(format!("no variable {name}"));
        }
        let (source, format) = source.rsplit_once(' ').ok_or("no format")?;
        if format == "text" {
            let (words, pointer) = source.rsplit_once(' ').unwrap_or(("", source));
            let found = self.report(words)?.pointer(pointer).ok_or(format!("no {pointer}"))?;
            return Ok(found.as_str().map_or(found.to_string(), str::to_string));
        }
        print(self.reckon(source)?, format)
    }

    /// Reckons from left to right.
    fn reckon(&self, source: &str) -> Result<f64, String> {
        const SIGNS: [&str; 4] = ["+", "-", "times", "per"];
        let (mut result, mut sign, mut words) = (0.0, "+", String::new());
        for word in words_of(source) {
            if SIGNS.contains(&word) {
                sign = SIGNS[SIGNS.iter().position(|one| *one == word).unwrap_or_default()];
                continue;
            }
            let number = match word.parse() {
                Ok(number) => number,
                Err(_) if word.starts_with('/') => {
                    let report = self.report(&std::mem::take(&mut words))?;
                    sum(report, &word[1..]).map_err(|fault| format!("{word}: {fault}"))?
                }
                Err(_) => {
                    words = format!("{words} {word}");
                    continue;
                }
            };
            result = match sign {
                "+" => result + number,
                "-" => result - number,
                "times" => result * number,
                _ => result / number,
            };
        }
        Ok(result)
    }

    /// The last report whose engine or workload each of the words is.
    fn report(&self, words: &str) -> Result<&Value, String> {
        let is_named =
            |report: &&Value, word| [&report["engine"], &report["workload"]].contains(&&Value::from(word));
        let fits = |report: &&Value| words.split_whitespace().all(|word| is_named(report, word));
        self.reports.iter().rfind(fits).ok_or(format!("no report of{words}"))
    }
}

/// Parts of a text that blanks divide, but not those within brackets.
fn words_of(text: &str) -> Vec<&str> {
    let mut is_within = false;
    let divides = move |c: char| {
        is_within = c == '[' || is_within && c != ']';
        c == ' ' && !is_within
    };
    text.split(divides).filter(|word| !word.is_empty()).collect()
}

/// What a pointer leads to; the sum, if that is several numbers.
fn sum(value: &Value, pointer: &str) -> Result<f64, String> {
    let (step, rest) = pointer.split_once('/').map_or((pointer, None), |(step, rest)| (step, Some(rest)));
    let follow = |value: &Value| match rest {
        Some(rest) => sum(value, rest),
        None => value.as_f64().ok_or(format!("{value} is no number")),
    };
    let test = step.strip_prefix('[').and_then(|step| step.strip_suffix(']'));
    let Some(test) = test else {
        let found = value.pointer(&format!("/{step}")).ok_or(format!("no {step}"))?;
        return follow(found);
    };
    let Some((member, wanted)) = test.split_once('=') else {
        return follow(value.get(test).ok_or(format!("no {test}"))?);
    };
    let members = value.as_array().ok_or(format!("{step} is asked of what is no array"))?;
    let fits = |value: &&Value| {
        let found = value.pointer(&format!("/{member}")).map(|found| match found.as_str() {
            Some(text) => text.to_string(),
            None => found.to_string(),
        });
        found.is_some_and(|found| match wanted.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == wanted,
        })
    };
    members.iter().filter(fits).map(follow).sum()
}

fn print(number: f64, format: &str) -> Result<String, String> {
    if let Some(decimals) = format.strip_prefix('.').and_then(|decimals| decimals.parse().ok()) {
        let printed = format!("{number:.decimals$}");
        // Nothing is nothing, from whichever side.
        let is_nothing = !printed.contains(|c: char| c.is_ascii_digit() && c != '0');
        return Ok(if is_nothing { printed.replace('-', "") } else { printed });
    }
    let digits = format!("{number:.0}");
    let part = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    match format {
        "," => Ok(digits.chars().enumerate().flat_map(part).collect()),
        _ => Err(format!("{format} is no format")),
    }
}

// ---- the reader itself ----

#[test]
fn commands_are_read_as_a_shell_does() {
    let read = rows(
        "X='-e lsm'\nXY='$X -o a=b'\n# a comment\nfor n in 1 2; do\n  for m in a b; do\n    kvs $XY \\\n      $n$m\n  done\ndone\n\
         kvs one\nkvs two\n\nkvs $X three\n",
    );
    let commands: Vec<String> = read
        .iter()
        .map(|row| row.commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("; "))
        .collect();
    let expected = [
        "kvs -e lsm -o a=b 1a",
        "kvs -e lsm -o a=b 1b",
        "kvs -e lsm -o a=b 2a",
        "kvs -e lsm -o a=b 2b",
        "kvs one; kvs two",
        "kvs -e lsm three",
    ];
    assert_eq!(commands, expected);
    assert_eq!((&read[2].variables["n"], &read[2].variables["m"]), (&"2".to_string(), &"a".to_string()));
}

#[test]
fn numbers_are_reckoned_from_left_to_right() {
    let report = |engine: &str, workload: &str, write: f64| {
        let text = r#"{"rows": [{"cause": "log", "bytes": 30}, {"cause": "compaction-L5", "bytes": 5},
            {"cause": "compaction-L6", "bytes": 7}], "counts": {"a b": 1234567}, "keys": "16"}"#;
        let mut report: Value = serde_json::from_str(text).unwrap();
        report["engine"] = engine.into();
        report["workload"] = workload.into();
        report["write"] = write.into();
        report
    };
    let reports =
        vec![report("lsm", "fill", 1.0), report("lsm", "read", 2.0), report("bitcask", "fill", 3.125)];
    let row = Row { reports, variables: BTreeMap::from([("n".into(), "64KiB".into())]), ..Row::default() };
    let cell = |source| row.cell(source);
    let right = [
        ("$n", "64KiB"),
        ("/write .2", "3.12"),
        ("lsm /write .0", "2"),
        ("lsm fill /write .1", "1.0"),
        ("fill lsm /write + bitcask /write per 2 - 1 times 100 .2", "106.25"),
        ("/rows/[cause=compaction*]/bytes ,", "12"),
        ("/rows/[cause=log]/bytes per /rows/[cause=compaction-L5]/bytes .1", "6.0"),
        ("/rows/[cause=merge]/bytes .0", "0"),
        ("/counts/[a b] ,", "1,234,567"),
        ("/keys text", "16"),
        ("lsm /write - 2.001 .2", "0.00"),
        ("lsm /write - 3.5 .2", "-1.50"),
    ];
    for (source, expected) in right {
        assert_eq!(cell(source), Ok(expected.to_string()), "{source}");
    }
    for wrong in ["$m", "/write", "/writes .1", "memory /write .1", "/keys .1", "/rows/bytes .1", "/write .x"]
    {
        assert!(cell(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_wrong_number_is_seen() {
    let text = "Words.\n\n```sh\nkvs a\n```\n\n<!-- measured\nkeys | /keys .0\n-->\n\n| keys |\n|---|\n| 7 |\n\nMore.\n";
    let mut page = Page::read("page".into(), text);
    for row in page.rows() {
        row.reports = vec![serde_json::from_str(r#"{"keys": 8}"#).unwrap()];
    }
    let drawn = page.draw();
    assert!(first_difference(text, &drawn).unwrap().contains("| 7 |\n    and there came | 8 |"));
    assert_eq!(drawn, text.replace("| 7 |", "| 8 |"));
    assert_eq!(first_difference(&drawn, &drawn), None);
}
