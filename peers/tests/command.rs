//! The command, from outside: processes, tables, and what it says when it cannot.

use std::process::{Command, Output};

fn peers(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(arguments.split_whitespace()).output().expect("it is built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

#[test]
fn it_prints_tables_and_keeps_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("all.json");
    let places = format!("--dir {} --json {}", dir.path().display(), json.display());
    let output = peers(&format!("--keys 500 --rounds 2 {places}"));
    let (table, progress) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{progress}");
    for begin in [
        "500 keys of 16 bytes with values of 100, 500 calls",
        "| operations a second | kvs lsm | kvs bitcask |",
        "| fillseq | ",
        "| readwhilewriting: writes | ",
        "| readrandom, 2 threads | ",
        "| overwrite, settled | ",
    ] {
        assert!(table.lines().any(|line| line.starts_with(begin)), "no {begin} in\n{table}");
    }
    assert!(progress.contains("round 2 of 2: bitcask"), "{progress}");
    let all = std::fs::read(&json).expect("it was written");
    let all: serde_json::Value = serde_json::from_slice(&all).expect("it is JSON");
    let stores = all["stores"].as_array().expect("a list").len();
    let stages = all["runs"].as_array().expect("a list").len() / stores / 2;
    assert!(stores >= 2 && stages >= 4, "{stores} stores, {stages} stages");
    let report = &all["runs"][0]["reports"][0];
    assert_eq!((report["workload"].as_str(), report["calls"].as_u64()), (Some("fillseq"), Some(500)));
    let left = std::fs::read_dir(dir.path()).expect("it is there").count();
    assert_eq!(left, 1, "the stores are gone, the file is there");
}

#[test]
fn it_says_what_it_cannot_do() {
    for (arguments, words) in [
        ("--stores mysql", "mysql: no such store; there are lsm, bitcask, rocksdb"),
        ("--workloads fill", "fill: no such workload"),
        ("--keys 0", "0 keys"),
        ("--key 8", "keys of 8 bytes"),
        ("--json /no/such/place.json", "/no/such/place.json"),
    ] {
        let output = peers(arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments}");
        assert!(said.starts_with("peers: ") && said.contains(words), "{arguments}: {said}");
    }
    if cfg!(not(feature = "rocksdb")) {
        let said = text(&peers("--stores rocksdb").stderr);
        assert!(said.contains("rocksdb is not built in: build with `--features rocksdb`"), "{said}");
    }
}

#[test]
fn a_store_that_fails_has_no_figures_and_the_others_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    // The LSM tree refuses so small a memtable; Bitcask has none.
    let output = peers(&format!(
        "--keys 100 --rounds 1 --workloads fillseq --stores lsm,bitcask --buffer 1 --dir {}",
        dir.path().display()
    ));
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    assert!(!output.status.success() && said.contains("memtable_bytes=1"), "{said}");
    assert!(table.contains("| fillseq | - | "), "{table}");
    assert!(table.contains("Round 1: lsm: fillseq failed"), "{table}");
}
