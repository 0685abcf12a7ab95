//! What holds for every command: directory, environment, streams, errors.
#![expect(clippy::unwrap_used, reason = "where a step of a test fails, the test fails")]

use crate::user::{User, finish, hear};

#[test]
fn a_command_that_only_reads_creates_nothing() {
    User::each(|user| {
        for (verb, code) in [
            ("get k", 0),
            ("scan", 0),
            ("scan --count", 0),
            ("exists k", 1),
            ("stats", 0),
            ("export", 0),
            ("levels", 0),
            ("explain get k", 3),
            ("rm k", 1),
            ("rm k --get", 1),
            ("options", 0),
            ("set k v --if-present", 1),
            ("--json scan", 0),
            ("shell", 0),
        ] {
            assert_eq!(user.line(verb).code, Some(code), "{verb}");
            assert_eq!(user.line(&format!("-p not/here {verb}")).code, Some(code), "{verb}");
            assert!(user.names().is_empty(), "{verb}");
        }
    });
}

#[test]
fn the_directory_is_the_current_one_or_the_one_that_is_named() {
    User::each(|user| {
        user.line("-p a/b set k 1").prints("");
        user.line("set k 2 --path c").prints("");
        user.line("set k 3 --path=d").prints("");
        user.line("set k 4").prints("");
        user.line("get k -p a/b").prints("1\n");
        let from = |path: &str, args: &[&str]| {
            let output = user.kvs().env("KVS_PATH", path).args(args).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(from("c", &["get", "k"]), "2\n");
        assert_eq!(from("", &["get", "k"]), "4\n", "an empty variable is none");
        assert_eq!(from("c", &["-p", "d", "get", "k"]), "3\n");
        assert_eq!(from("c", &["get", "k", "-p", "d"]), "3\n");
        user.line("get k").prints("4\n");
        user.write("file", "");
        user.line("-p file get k").fails(3, "file");
    });
}

#[test]
fn options_may_stand_before_and_behind_the_verb() {
    User::each(|user| {
        for line in [
            "-p d --sync always set k v",
            "set -p d k v --sync always",
            "set k v -p d --sync=interval:5",
            "--json -q -v set k v -p d",
            "set -q --color never k v -pd -v",
        ] {
            assert_eq!(user.line(line).code, Some(0), "{line}");
            user.line("-p d rm k").prints("");
        }
        user.line("--sync sometimes set k v").fails(2, "always, interval:MS, os");
        let engine = ["-e", user.engine, "-e", "nonsense", "get", "k"];
        user.run(engine).fails(2, "no such engine");
    });
}

#[test]
fn settings_before_and_behind_the_verb_add_up() {
    User::each(|user| {
        user.line("-o nonsense1=1 set k v -o nonsense2=2").fails(2, "nonsense1");
    });
}

#[test]
fn errors_are_objects_with_json() {
    User::each(|user| {
        for (line, kind, code) in [
            ("--json get", "usage", 2),
            ("--json", "usage", 2),
            ("compact --json", "no_store", 3),
            ("--json --read-only set k v", "read_only", 3),
            ("--json import nope", "io", 3),
            ("--json get 6 --enc hex", "usage", 2),
        ] {
            let answer = user.line(line);
            answer.fails(code, "");
            let error: serde_json::Value = serde_json::from_str(&answer.stderr).unwrap();
            assert_eq!(error["error"], kind, "{line}");
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
        }
    });
}

#[test]
fn a_closed_pipe_is_no_error() {
    User::each(|user| {
        let lines: String = (0..20_000).map(|i| format!("key{i:06}\tvalue{i}\n")).collect();
        user.feed(["import"], lines.as_bytes()).prints("");
        for verb in ["scan", "export --format resp", "scan --json --reverse", "scan --keys-only"] {
            let mut child = user.start(verb);
            assert!(!hear(&mut child).is_empty());
            drop(child.stdout.take());
            assert_eq!(finish(child), (Some(0), String::new()), "{verb}");
        }
        let mut child = user.start("--help");
        drop(child.stdout.take());
        assert_eq!(finish(child), (Some(0), String::new()));
    });
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    User::each(|user| {
        user.line("set k v").prints("");
        let Ok(full) = std::path::Path::new("/dev/full").canonicalize() else { return };
        let script = format!("{} get k > {}", env!("CARGO_BIN_EXE_kvs"), full.display());
        let output = user.sh(&script).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
    });
}

#[test]
fn events_are_told_on_request() {
    User::each(|user| {
        user.line("set k v").prints("");
        let answer = user.line("get k -v");
        answer.answers(0, "v\n");
        assert!(answer.stderr.contains("kvs: open: 1 keys"), "{answer:?}");
        let answer = user.line("get k -v --json");
        assert!(answer.stderr.contains("{\"event\":\"open: 1 keys"), "{answer:?}");
    });
}

#[test]
fn colors_only_where_they_are_wanted() {
    User::each(|user| {
        user.line("set k v").prints("");
        user.line("scan").prints("k\tv\n");
        user.line("scan --color always").prints("\x1b[36mk\x1b[0m\tv\n");
        assert!(user.line("get --color always").stderr.contains("\x1b["));
        assert!(!user.line("get").stderr.contains("\x1b["));
        user.line("scan --color sometimes").fails(2, "possible values: auto, always, never");
    });
}

// In a bundle, and before the second of two verbs, an option of the engine was forgotten: exit code 0.
#[test]
fn a_wrong_setting_is_refused_wherever_it_stands() {
    User::each(|user| {
        for line in [
            "-o foo=1 get k",
            "-qo foo=1 get k -o mmap=false",
            "-o foo=1 explain get k -o mmap=false",
            "explain -o foo=1 get k -o mmap=false",
            "-o foo=1 trace record t get k -o mmap=false",
            // Where no store is, nobody looked at them.
            "get k -o foo=1",
            "options -o foo=1",
            "rm k -o foo=1",
            "export -o foo=1",
        ] {
            user.line(line).fails(2, "foo");
            assert!(user.names().is_empty(), "{line}");
        }
    });
}

/// The command, with these variables.
fn with(user: &User, variables: &[(&str, &str)], line: &str) -> (Option<i32>, String, String) {
    let mut command = user.kvs();
    command.env_remove("KVS_ENGINE").envs(variables.iter().copied());
    let output = command.args(line.split(' ').filter(|word| !word.is_empty())).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), stdout, stderr)
}

// A variable that is set for other commands kept who names their engines themselves from running; one that is wrong,
// who said what they want; and usage lines asked for --engine.
#[test]
fn a_variable_stands_back_behind_an_argument() {
    User::each(|user| {
        let engine = [("KVS_ENGINE", user.engine)];
        let compared = with(user, &engine, "compare fillseq --keys 100 --stepped");
        assert_eq!(compared.0, Some(0), "{compared:?}");
        let typed = with(user, &engine, "-e lsm compare fillseq --keys 100 --stepped");
        assert_eq!(typed.0, Some(2), "{typed:?}");
        let wrong = [("KVS_ENGINE", "foo")];
        assert_eq!(with(user, &wrong, "-e bitcask get a"), (Some(0), "Key not found\n".into(), "".into()));
        let (code, _, said) = with(user, &wrong, "get a");
        assert!(code == Some(2) && said.contains("KVS_ENGINE: foo: no such engine"), "{said}");
        assert_eq!(with(user, &[("KVS_ENGINE", "")], "get a").0, Some(0));
        let both = [("KVS_ENGINE", user.engine), ("KVS_PATH", "d")];
        for line in ["get", "get k --help"] {
            let (_, stdout, stderr) = with(user, &both, line);
            let usage = stdout + &stderr;
            let usage = usage.lines().find(|line| line.starts_with("Usage:")).unwrap();
            assert!(!usage.contains("--engine") && !usage.contains("--path"), "{line}: {usage}");
        }
        assert!(with(user, &both, "get --help").1.contains(&format!("[env: KVS_ENGINE={}]", user.engine)));
        let (code, _, help) = with(user, &both, "");
        assert!(code == Some(2) && help.contains("Usage:"), "{help}");
    });
}

// A sentence without a usage went on: "; For more information, try '--help'."
#[test]
fn an_error_in_one_line_ends_with_what_is_wrong() {
    User::each(|user| {
        let answer = user.line("--json scan --color sometimes");
        answer.fails(2, "possible values: auto, always, never");
        assert!(!answer.stderr.contains("For more information"), "{answer:?}");
    });
}
