//! The explorer from outside: `kvs crash`.
#![expect(clippy::unwrap_used, reason = "where a step of a test fails, the test fails")]

use crate::user::User;
use serde_json::Value;

fn summary(user: &User, line: &str) -> Value {
    let answer = user.line(line);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let mut summary: Value = serde_json::from_slice(&answer.stdout).unwrap();
    // The only figures that a clock has a part in.
    for clocked in ["cpu_seconds", "states_per_second"] {
        assert!(summary.as_object_mut().unwrap().remove(clocked).unwrap().as_f64().unwrap() > 0.0);
    }
    summary
}

#[test]
fn the_same_seed_finds_the_same_on_any_number_of_threads() {
    User::each(|user| {
        let line = "crash creation singles --json";
        let one = summary(user, &format!("{line} --threads 1"));
        assert_eq!(one, summary(user, &format!("{line} --threads 3")));
        assert_ne!(one, summary(user, &format!("{line} --seed 2")));
        assert_eq!((&one["violations"], &one["first"]), (&Value::from(0), &Value::Null));
        assert!(one["distinct_disks"].as_u64().unwrap() > 300, "{one}");
        let ways: Vec<_> =
            one["ways"].as_array().unwrap().iter().map(|way| way["way"].as_str().unwrap()).collect();
        assert_eq!(ways.len(), 5, "{ways:?}");
        let plain = summary(user, &format!("{line} --depth 1"));
        assert_eq!(plain["ways"], Value::from(vec![one["ways"][0].clone()]));
        assert_eq!(user.dir.path().read_dir().unwrap().count(), 0, "no directory is touched");
    });
}

/// Without the sync of its log, a durable write is lost: one line shows it, and the timeline says which
/// sync was missing.
#[test]
fn a_sync_that_is_left_out_is_shown_by_the_shortest_script() {
    User::each(|user| {
        let answer = user.line("crash singles rotation --forget sync:log --save shortest.txt");
        assert_eq!(answer.code, Some(4), "{}", answer.stderr);
        let text = String::from_utf8(answer.stdout).unwrap();
        assert!(text.contains("left out: sync:log, "), "{text}");
        assert!(text.contains("  lost\n"), "{text}");
        assert!(text.contains("missing: `sync /s/00000"), "{text}");
        assert!(text.contains(", which was left out at #"), "{text}");
        let script = user.read("shortest.txt");
        let script = String::from_utf8(script).unwrap();
        let steps: Vec<_> =
            script.split("\n\n").last().unwrap().lines().filter(|line| !line.starts_with('#')).collect();
        assert!(steps.len() == 1 && steps[0].contains('!'), "{script}");
        // It can be done again; and with its syncs the store survives it.
        assert_eq!(user.line("crash --script shortest.txt --forget sync:log").code, Some(4));
        assert_eq!(user.line("crash --script shortest.txt").code, Some(0));
    });
}

/// A script is for the engines that it names, and its options are theirs: one of an LSM tree was given to
/// Bitcask first, which does not have them. The heading had the options that the explorer takes of itself.
#[test]
fn a_script_is_explored_on_the_engines_that_it_names() {
    let user = User { engine: "", dir: tempfile::tempdir().unwrap() };
    user.write("one.txt", "engines: lsm\noptions: memtable_bytes=5000 durability=always\n\nset a b\nrm a\n");
    let answer = user.kvs().env_remove("KVS_ENGINE").args(["crash", "--script", "one.txt"]).output().unwrap();
    let text = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let heading = text.lines().next().unwrap();
    assert!(heading.starts_with("lsm ") && !text.contains("bitcask"), "{text}");
    assert!(heading.contains(" memtable_bytes=5000") && !heading.contains("=4096"), "{heading}");
    assert!(heading.contains(" durability=always, seed 1"), "{heading}");
}

#[test]
fn what_can_be_crashed_is_listed() {
    User::each(|user| {
        let text = String::from_utf8(user.line("crash --list").stdout).unwrap();
        for word in ["creation", "deleted-between-merges", "migration", "random-N", "sync:durable-write"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    });
}

#[test]
fn what_can_not_be_crashed_is_refused_and_says_what_to_do() {
    User::each(|user| {
        user.write("fails.txt", "set a b\nfail sync 1 EIO\n");
        user.write("odd.txt", "set a b\nfrobnicate\n");
        let elsewhere = if user.engine == "lsm" { "sync:merge-output" } else { "sync:loaded-table" };
        for (line, words) in [
            ("crash nosuch", "kvs crash --list"),
            ("crash --forget sync:walnut", "kvs crash --list"),
            ("crash --budget soon", "10m"),
            ("crash --script missing.txt", "missing.txt"),
            ("crash --script odd.txt", "line 2"),
            ("crash --script fails.txt", "kvs torture"),
            ("crash --script odd.txt creation", "cannot be used with"),
            ("-o no_such=1 crash creation", "no_such"),
            ("-e memory crash creation", "keeps no files"),
        ] {
            let answer = user.line(line);
            assert!(answer.code == Some(2) || answer.code == Some(3), "{line}: {:?}", answer.code);
            assert!(answer.stderr.contains(words), "{line}: {}", answer.stderr);
        }
        user.line(&format!("crash creation --forget {elsewhere}")).fails(2, "no workload here does that");
    });
}

/// Ctrl-C ends it, and nothing is left.
#[test]
fn a_long_run_can_be_interrupted() {
    User::each(|user| {
        let child = user.start("crash --budget 1h");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

// It printed its tables, whatever was asked for.
#[test]
fn what_can_be_crashed_is_listed_as_objects() {
    User::each(|user| {
        let text = String::from_utf8(user.line("crash --list --json").stdout).unwrap();
        let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(
            objects.iter().any(|o| o["workload"] == "creation" && o["engines"][0] == user.engine),
            "{text}"
        );
        assert!(
            objects.iter().any(|o| o["sync"] == "sync:log" && o["times"][user.engine].is_u64()),
            "{text}"
        );
    });
}

// The violation was found, and lost with the file that could not be written: nothing printed, and exit code 3.
#[test]
fn a_script_that_can_not_be_saved_takes_nothing_along() {
    User::each(|user| {
        user.write("afile", "");
        user.write("adir/file", "");
        for place in ["adir", "afile/x.txt"] {
            user.line(&format!("crash singles --save {place}")).fails(3, "create");
            user.line(&format!("torture --ops 100 --save {place}")).fails(3, "create");
        }
        let line = format!("crash singles --forget sync:log --save {}", "x".repeat(255));
        let answer = user.line(&line);
        assert_eq!(answer.code, Some(4), "{answer:?}");
        assert!(String::from_utf8(answer.stdout).unwrap().contains("  lost\n"), "what was found is there");
        assert!(answer.stderr.contains("name too long"), "{}", answer.stderr);
        let answer = user.line("crash creation --depth 1 --save none.txt");
        assert!(answer.code == Some(0) && answer.stderr.contains("none.txt is not written"), "{answer:?}");
    });
}

// Bitcask showed a violation, and the script went away with what was wrong on the other engine: it has no such sync.
// Nor is that a mistake of who asked, as long as one of the engines has it; and where none has, that was said after
// the first had been explored for its whole budget.
#[test]
fn a_sync_is_left_out_of_the_engines_that_make_it() {
    let user = User { engine: "", dir: tempfile::tempdir().unwrap() };
    let line = "crash compact --depth 1 --forget sync:merge-output --save shortest.txt --json";
    let answer = user.line(line);
    assert!(
        answer.code == Some(4) && answer.stderr.contains("no workload here does that, of lsm"),
        "{answer:?}"
    );
    assert_eq!(String::from_utf8(answer.stdout).unwrap().lines().count(), 1);
    assert!(!user.read("shortest.txt").is_empty());
    let none = "crash creation --depth 1 --forget sync:merge-output";
    user.line(none).fails(2, "no workload here does that, of bitcask and lsm; `kvs crash --list`");
    user.line("-e lsm crash --budget 1h --forget sync:merge-output")
        .fails(2, "no workload here does that, of lsm");
}

// Bitcask was explored for its whole budget, and then a workload of the other engine was called unknown.
#[test]
fn a_workload_is_explored_on_the_engines_that_have_it() {
    let user = User { engine: "", dir: tempfile::tempdir().unwrap() };
    let text = String::from_utf8(user.line("crash levels --depth 1 --json").stdout).unwrap();
    let engines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(engines.len(), 1, "{text}");
    assert!(engines[0]["engine"].as_str().unwrap().starts_with("lsm"), "{text}");
    user.line("crash creation nosuch --budget 1h").fails(2, "nosuch: no such workload of bitcask and lsm");
}

// It went its own way, whatever was asked for.
#[test]
fn leaving_each_sync_out_takes_nothing_else() {
    User::each(|user| {
        for more in ["creation", "--budget 1s", "--depth 1", "--threads 2", "--save x"] {
            user.line(&format!("crash --forget each {more}")).fails(2, "--forget each takes no");
        }
        assert!(user.names().is_empty());
    });
}
