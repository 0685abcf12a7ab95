//! Torture from outside: what it tells, what it takes, and that it leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "where a step of a test fails, the test fails")]

use crate::user::User;

fn lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn torture_tells_what_it_did_and_finds_nothing() {
    User::each(|user| {
        let answer = user.line("torture --ops 2000 --seed 3 --json --save found.txt");
        assert_eq!((answer.code, answer.stderr.contains("nothing was found")), (Some(0), true), "{answer:?}");
        let reports = lines(&answer.stdout);
        assert_eq!((reports.len(), &reports[0]["engine"]), (1, &user.engine.into()));
        assert!(reports[0]["operations"].as_u64().unwrap() >= 2000 && reports[0]["finding"].is_null());
        let again = lines(&user.line("torture --ops 2000 --seed 3 --threads 2 --json").stdout);
        for name in
            ["histories", "operations", "power_cuts", "errors_injected", "lost_changes", "option_sets"]
        {
            assert_eq!(reports[0][name], again[0][name], "{name} with two threads");
        }
        let text = String::from_utf8(user.line("torture --for 0.1s").stdout).unwrap();
        for word in ["operations in", "crashes", "errors", "differences   0"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(user.names().is_empty(), "{:?}", user.names());
    });
}

#[test]
fn both_engines_are_tortured_unless_one_is_named() {
    User::each(|user| {
        let answer = user.kvs().env_remove("KVS_ENGINE").args(["torture", "--ops", "200", "--json"]).output();
        let reports = lines(&answer.unwrap().stdout);
        let engines: Vec<_> = reports.iter().map(|report| report["engine"].as_str().unwrap()).collect();
        assert_eq!(engines, ["bitcask", "lsm"]);
    });
}

#[test]
fn threads_on_one_store_are_linearizable() {
    User::each(|user| {
        let answer = user.line("torture --concurrent --ops 100k --threads 3 --json");
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""));
        let report = &lines(&answer.stdout)[0];
        assert!(report["cuts"].as_u64().unwrap() > 0 && report["reopens"].as_u64().unwrap() > 0, "{report}");
        assert!(report["anomaly"].is_null() && report["clients"] == 3, "{report}");
        assert!(user.names().is_empty(), "{:?}", user.names());
        user.line("torture --concurrent --threads 16").fails(2, "at most 15");
    });
}

#[test]
fn a_script_is_run_on_the_engines_that_it_names() {
    User::each(|user| {
        user.write(
            "story.txt",
            "engines: lsm bitcask\n\nset! a 1\nset b 2\ncrash power 4\nget a\n---\nnot looked at\n",
        );
        let both = "lsm: 14 operations, all as they must be\nbitcask: 14 operations, all as they must be\n";
        let answer = user.kvs().env_remove("KVS_ENGINE").args(["torture", "--script", "story.txt"]).output();
        assert_eq!(String::from_utf8(answer.unwrap().stdout).unwrap(), both);
        let one = format!("{}: 14 operations, all as they must be\n", user.engine);
        user.line("torture --script story.txt").prints(one);
        user.write("wrong.txt", "set a 1\n\nget a\nfrob\n");
        user.line("torture --script wrong.txt").fails(2, "wrong.txt: line 4: frob: no such command");
        user.write("wrong.txt", "options: nonsense=1\n\nset a 1\n");
        user.line("torture --script wrong.txt").fails(2, "nonsense");
        user.write("wrong.txt", "set a 1\noptions nonsense=1\n");
        user.line("torture --script wrong.txt").fails(2, "nonsense");
        user.line("torture --script missing.txt").fails(3, "missing.txt");
    });
}

/// Without a blank line below the header all was header: no command was done, and all was as it must be. An
/// engine that was asked for with `-e` was taken, whatever the script names.
#[test]
fn a_script_that_says_nothing_is_refused() {
    User::each(|user| {
        let other = if user.engine == "lsm" { "bitcask" } else { "lsm" };
        user.write("joined.txt", format!("engines: {}\nset a b\nnonsense\n", user.engine));
        user.write("foo.txt", format!("foo\nengines: {}\n\nset a b\n", user.engine));
        user.write("empty.txt", format!("# Nothing.\nengines: {}\n\n# Nothing.\n", user.engine));
        user.write("other.txt", format!("engines: {other}\n\nset a b\n"));
        user.write("unknown.txt", "engines: foo\n\nset a b\n");
        for verb in ["torture", "crash"] {
            user.line(&format!("{verb} --script joined.txt")).fails(2, "joined.txt: line 2: set a b: ");
            user.line(&format!("{verb} --script foo.txt")).fails(2, "foo.txt: line 1: foo: ");
            user.line(&format!("{verb} --script empty.txt")).fails(2, "empty.txt: no command is in it");
            user.line(&format!("{verb} --script other.txt"))
                .fails(2, &format!("is for {other}, and not for"));
            let line = [verb, "--script", "unknown.txt"];
            let answer = user.kvs().env_remove("KVS_ENGINE").args(line).output().unwrap();
            let said = String::from_utf8_lossy(&answer.stderr);
            assert!(answer.status.code() == Some(2) && said.contains("foo, in its line engines:"), "{said}");
        }
    });
}

/// The notes say that torture takes the scripts of the tests; those name stores that only the tests have.
#[test]
fn the_scripts_of_the_tests_are_taken_with_an_engine() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let user = User { engine: "bitcask", dir: tempfile::tempdir().unwrap() };
    for name in crate::user::names(&folder).iter().filter(|name| name.ends_with(".txt")) {
        let file = folder.join(name);
        let answer = user.run(["torture", "--script", file.to_str().unwrap()]);
        assert_eq!(answer.code, Some(0), "{name}: {answer:?}");
    }
}

#[test]
fn what_torture_does_not_take() {
    User::each(|user| {
        user.line("torture --ops 1 --for 1s").fails(2, "cannot be used with");
        user.line("torture --script x --ops 1").fails(2, "cannot be used with");
        user.line("torture -o mmap=true").fails(2, "takes no -o");
        user.line("-e memory torture").fails(2, "memory has no disk");
        user.line("torture --for never").fails(2, "10m");
        assert!(user.names().is_empty());
    });
}
