//! The laboratory from outside: `bench`, `compare`, `advise`, `trace`.
#![expect(clippy::unwrap_used, reason = "where a step of a test fails, the test fails")]

use crate::user::User;

fn json_lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is in the user's directory.
fn names(user: &User) -> Vec<String> {
    let entries = user.dir.path().read_dir().unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn bench_tells_what_each_workload_cost() {
    User::each(|user| {
        let answer = user.line("bench readrandom overwrite --keys 2k --json");
        assert_eq!((answer.code, &answer.stderr[..]), (Some(0), ""));
        let reports = json_lines(&answer.stdout);
        let workloads: Vec<_> = reports.iter().map(|report| report["workload"].as_str().unwrap()).collect();
        assert_eq!(workloads, ["fillrandom", "readrandom", "overwrite"], "a fill comes first");
        assert_eq!(reports[0]["engine"], user.engine);
        assert_eq!(reports[1]["usage"]["hits"], 2000);
        assert!(reports[2]["amplification"]["write"].as_f64().unwrap() > 1.0);
        assert!(reports[2]["latencies"][0]["p99_us"].as_f64().unwrap() > 0.0);
        let text = user.line("bench fillseq --keys 2_000");
        let text = String::from_utf8(text.stdout).unwrap();
        for word in ["fillseq: ", "pairs/s", "p99.9", "written", "memory"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let csv = String::from_utf8(user.line("bench fillseq --keys 1k --csv").stdout).unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert!(lines[0].starts_with("configuration,workload,"), "{csv}");
        assert!(
            lines[1].starts_with(&format!("{},fillseq,os,1000,16,100,1,1,false,1000,1000,", user.engine))
        );
        assert_eq!(names(user), Vec::<String>::new(), "stores are removed");
    });
}

#[test]
fn runs_in_steps_are_the_same_to_the_byte() {
    User::each(|user| {
        let run = |seed: &str| {
            let answer = user
                .line(&format!("bench fillrandom overwrite settle ycsb-b --keys 3k --stepped --seed {seed}"));
            assert_eq!(answer.code, Some(0), "{}", answer.stderr);
            answer.stdout
        };
        assert_eq!(run("1"), run("1"));
        assert_ne!(run("1"), run("2"));
    });
}

// A thread looked at the clock when the number of its call ended in four zeros. The calls of two threads are the even
// ones and the odd ones: so the second never looked, and made its half of the calls alone, for as long as that took.
// This test took a minute and passed.
#[test]
fn a_run_with_a_mix_ends_in_time() {
    User::each(|user| {
        let answer =
            user.line("bench --mix read=9,update=1 --keys 1k --calls 100M --seconds 0.3 --threads 2 --json");
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let reports = json_lines(&answer.stdout);
        let latencies = reports[1]["latencies"].as_array().unwrap();
        assert_eq!(
            latencies.iter().map(|l| l["call"].as_str().unwrap()).collect::<Vec<_>>(),
            ["read", "update"]
        );
        assert!(reports[1]["calls"].as_u64().unwrap() < 50_000_000, "neither thread makes all of its calls");
    });
}

/// `--sync always` was left out of it, and five writes in a thousand calls were `update=0` and `update=1`.
#[test]
fn a_comparison_tells_how_it_is_made_again() {
    User::each(|user| {
        let line = "--sync always compare --mix read=995,update=5 --distribution hot:0.1:0.9 --keys 100 \
                    --calls 50 --stepped --seed 3 --value-size 10..20 --config bitcask --json";
        let told = |line: &str| {
            let answer = user.kvs().env_remove("KVS_ENGINE").args(line.split_whitespace()).output().unwrap();
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            assert!(answer.status.success(), "{line}: {said}");
            json_lines(&answer.stdout).remove(0)
        };
        let first = told(line);
        let command = first["command"].as_str().unwrap();
        for part in ["--sync always", "--mix read=99.5,update=0.5", "--distribution hot:0.1:0.9"] {
            assert!(command.contains(part), "{part}: {command}");
        }
        let again = command.strip_prefix("kvs ").unwrap();
        assert_eq!(told(&format!("{again} --json")), first, "the same again");
    });
}

#[test]
fn what_can_not_be_run_is_refused_and_says_what_to_do() {
    User::each(|user| {
        let wrong = [
            ("bench fillrandum", "there are fillseq"),
            ("bench --keys 0", "a number above 0"),
            ("bench --mix eat=1", "one of read"),
            ("bench --distribution zipfian", "--mix"),
            ("bench fillseq --threads 2 --stepped", "one thread"),
            ("bench fillseq --key-size 4", "at least 16"),
            ("bench --trace none.trace", "none.trace"),
            ("compare --config tree", "no such engine"),
            ("compare --config lsm:no_such=1 fillseq --keys 100", "no option of lsm"),
            ("compare -o cache_bytes=1 fillseq", "--config"),
            ("advise --stepped ycsb-a", "needs times"),
        ];
        for (line, says) in wrong {
            let answer = user.kvs().env_remove("KVS_ENGINE").args(line.split(' ')).output().unwrap();
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            let code = answer.status.code();
            assert!(code == Some(2) || code == Some(3), "{line}: {said}");
            assert!(said.contains(says), "{line}: {said}");
        }
    });
}

/// Where a store was, the laboratory was refused, so that what the README and the help of `trace` show one below
/// the other failed at the second line, which found the store of the first; even a run in steps, whose disk is
/// in memory. And a directory that was not there yet was not made.
#[test]
fn the_laboratory_is_where_a_store_is_and_leaves_it_alone() {
    User::each(|user| {
        user.write("home/data.tsv", "a\t1\nb\t2\n");
        let at_home = |line: &str, input: &str| {
            let mut command = assert_cmd::Command::from_std(user.kvs());
            let command =
                command.current_dir(user.path("home")).args(line.split(' ')).env_remove("KVS_ENGINE");
            let output = command.write_stdin(input).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        at_home(&format!("-e {} trace record calls.trace import data.tsv", user.engine), "");
        at_home("trace record more.trace shell", "set c 3\nget a\n");
        let before = crate::user::names(&user.path("home"));
        at_home("trace show calls.trace", "");
        for engine in crate::user::ENGINES {
            at_home(&format!("-e {engine} trace replay calls.trace"), "");
        }
        at_home("compare --trace calls.trace --rounds 1", "");
        at_home("advise --trace calls.trace --rounds 1", "");
        at_home("bench fillseq --keys 100", "");
        at_home("compare fillseq --keys 100 --stepped", "");
        assert_eq!(at_home("scan", ""), b"a\t1\nb\t2\nc\t3\n");
        assert_eq!(crate::user::names(&user.path("home")), before);
        assert_eq!(names(user), ["home"], "what was made beside the store is gone");

        user.write("damaged/ENGINE", "nonsense");
        let stepped = user.line("-p damaged bench fillseq --keys 100 --stepped");
        assert_eq!(stepped.code, Some(0), "a run in steps looks at no directory: {}", stepped.stderr);
        let made = user.line("-p new/one bench fillseq --keys 100");
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        assert!(crate::user::names(&user.path("new/one")).is_empty());
    });
}

/// "1 keys of 16 bytes, values of 100", it said of every trace.
#[test]
fn headings_tell_what_a_trace_holds() {
    User::each(|user| {
        user.line("-p db set before 12345");
        let script = "set a 1\nset bb 22\nrm a\nget nothing\nset bb 4444444\n";
        let answer = user.feed("-p db trace record calls.trace shell".split(' '), script.as_bytes());
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let pairs = "3 keys of 1..6 bytes, values of 1..7";
        for line in
            ["trace replay calls.trace", "bench --trace calls.trace", "bench --trace calls.trace --stepped"]
        {
            let text = String::from_utf8(user.line(line).stdout).unwrap();
            assert!(text.starts_with(&format!("{}: {pairs}, 1 thread", user.engine)), "{line}: {text}");
        }
        let line = ["compare", "--stepped", "--trace", "calls.trace"];
        let compared = user.kvs().env_remove("KVS_ENGINE").args(line).output().unwrap();
        let text = String::from_utf8(compared.stdout).unwrap();
        assert!(text.lines().any(|line| line.starts_with(pairs)), "{text}");
    });
}

#[test]
fn compare_sets_both_engines_side_by_side() {
    let user = User { engine: "", dir: tempfile::tempdir().unwrap() };
    let answer = user.line("compare fillrandom readrandom --keys 3k --rounds 2 --json");
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let comparison = &json_lines(&answer.stdout)[0];
    let configurations = comparison["configurations"].as_array().unwrap();
    assert!(configurations[0].as_str().unwrap().starts_with("bitcask"));
    assert!(configurations[1].as_str().unwrap().starts_with("lsm"));
    let row = &comparison["rows"][0];
    assert_eq!((&row["workload"], &row["figure"]), (&"fillrandom".into(), &"throughput".into()));
    let ratio = &row["ratios"][0];
    let [least, median, most] = ["least", "median", "most"].map(|name| ratio[name].as_f64().unwrap());
    assert!(least <= median && median <= most && least > 0.0);
    assert_eq!(comparison["runs"][1].as_array().unwrap().len(), 2, "rounds");

    let text =
        user.line("compare overwrite --stepped --keys 2k --config bitcask --config bitcask:hints=false");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("B / A") && text.contains("bitcask:hints=false"), "{text}");
    let again = text.lines().find_map(|line| line.strip_prefix("Again: kvs ")).unwrap();
    assert_eq!(String::from_utf8(user.line(again).stdout).unwrap(), text, "the command makes it again");
    assert_eq!(names(&user), Vec::<String>::new());
}

#[test]
fn advice_has_an_engine_and_reasons() {
    let user = User { engine: "", dir: tempfile::tempdir().unwrap() };
    let answer = user.line("advise readrandom --keys 2k --rounds 1 --store-keys 1000M --memory 1GiB --json");
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let advice = &json_lines(&answer.stdout)[0];
    assert_eq!(advice["engine"], "lsm", "a keydir of so many keys does not fit");
    assert!(advice["because"].as_str().unwrap().contains("keydir"));
    let text = String::from_utf8(user.line("advise ycsb-e --keys 5k --rounds 2").stdout).unwrap();
    assert!(text.contains("because"), "{text}");
}

#[test]
fn a_trace_is_replayed_on_either_engine() {
    User::each(|user| {
        user.line("-p db set before 12345");
        let script =
            "set a 1\nset b 22\nget a\nscan\nscan b --reverse\nrm a\nget a\nexists b\nset b --get 333\n";
        let answer = user.feed("-p db trace record calls.trace shell".split(' '), script.as_bytes());
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        assert_eq!(user.line("-p db get b").stdout, b"333\n", "it was done, too");
        let shown = &json_lines(&user.line("trace show calls.trace --json").stdout)[0];
        assert_eq!((&shown["pairs_when_it_began"], &shown["scan"]), (&1.into(), &2.into()), "{shown}");
        for engine in crate::user::ENGINES {
            let answer = user.line(&format!("-e {engine} trace replay calls.trace --stepped --json"));
            assert_eq!(answer.code, Some(0), "{}", answer.stderr);
            let replay = &json_lines(&answer.stdout)[1];
            assert_eq!(replay["shape"]["keys"], 2, "before, b");
            assert_eq!(replay["shape"]["user_bytes"], (6 + 5) + (1 + 3));
        }
        let answer = user.line("trace record calls.trace get a");
        assert!(answer.code == Some(2) && answer.stderr.contains("already"), "{}", answer.stderr);
        let answer = user.line("trace show db/ENGINE");
        assert_eq!(answer.code, Some(4), "{}", answer.stderr);
    });
}

#[test]
fn a_recorded_run_is_the_same_when_it_is_replayed() {
    User::each(|user| {
        let run = user.line("bench ycsb-a ycsb-e --keys 2k --stepped --record run.trace --json");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let user_bytes = |report: &serde_json::Value| {
            let usage = &report["usage"];
            usage["key_bytes_written"].as_u64().unwrap() + usage["value_bytes_written"].as_u64().unwrap()
        };
        let written: u64 = json_lines(&run.stdout).iter().map(user_bytes).sum();
        let replay = user.line("trace replay run.trace --stepped --json");
        assert_eq!(replay.code, Some(0), "{}", replay.stderr);
        assert_eq!(user_bytes(&json_lines(&replay.stdout)[1]), written);
        let compared = user.line("trace replay run.trace --stepped --json");
        assert_eq!(compared.stdout, replay.stdout);
    });
}

// The help of compare and advise promised a --list that only bench had; with --json it was a table.
#[test]
fn the_workloads_are_listed_by_all_who_run_them() {
    User::each(|user| {
        let list = user.line("bench --list");
        assert_eq!(list.code, Some(0));
        let lines = list.stdout.split(|byte| *byte == b'\n').count() - 2;
        let user_of_both = |verb: &str| {
            let mut command = user.kvs();
            let output = command.env_remove("KVS_ENGINE").args([verb, "--list"]).output().unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(0), list.stdout.clone()), "{verb}");
        };
        ["compare", "advise"].into_iter().for_each(user_of_both);
        let objects = json_lines(&user.line("bench --list --json").stdout);
        assert_eq!(objects.len(), lines);
        assert!(
            objects.iter().any(|object| object["workload"] == "fillrandom" && object["about"].is_string())
        );
    });
}

// One of the two was dropped without a word.
#[test]
fn csv_and_json_exclude_each_other() {
    User::each(|user| {
        for line in ["bench fillseq --keys 1k --csv --json", "--json compare fillseq --keys 1k --csv"] {
            user.line(line).fails(2, "--csv cannot be used with --json");
        }
    });
}

// Repair is for stores: for a file that is no trace it was the wrong advice.
#[test]
fn what_is_no_trace_is_not_to_be_repaired() {
    User::each(|user| {
        user.write("notes", "hello");
        for line in ["trace show notes", "trace replay notes", "bench --trace notes"] {
            let answer = user.line(line);
            answer.fails(4, "is it a trace?");
            assert!(!answer.stderr.contains("repair"), "{answer:?}");
        }
    });
}

// All was run before it turned out that there is no place for the page, and nothing was printed.
#[test]
fn a_report_that_can_not_be_written_costs_no_run() {
    User::each(|user| {
        user.write("afile", "");
        user.write("adir/file", "");
        let compare = "compare fillseq --keys 100 --stepped --config lsm";
        let places = ["--report adir", "--report afile/x.html", "--report afile/y/x.html", "--svg afile"];
        for place in places {
            user.line(&format!("{compare} {place}")).fails(3, "create");
        }
        assert_eq!(user.names(), ["adir", "afile"]);
        // What can not be told before: the name is too long for one beside it.
        let answer = user.line(&format!("{compare} --report {}", "x".repeat(255)));
        assert_eq!(answer.code, Some(3), "{answer:?}");
        assert!(String::from_utf8(answer.stdout).unwrap().contains("fillseq"), "the figures are there");
    });
}

// "A is 1.27 times as fast as A": the words were made with the names, which are equal.
#[test]
fn a_configuration_that_is_given_twice_has_two_names() {
    User::each(|user| {
        let line = "compare fillseq --keys 100 --rounds 1 --config lsm --config lsm";
        let text = String::from_utf8(user.line(line).stdout).unwrap();
        assert!(text.contains("A  lsm\nB  lsm (2)\n"), "{text}");
        assert!(!text.contains("as fast as A") || text.contains("B is "), "{text}");
        let comparison = &json_lines(&user.line(&format!("{line} --json")).stdout)[0];
        assert_eq!(comparison["configurations"], serde_json::json!(["lsm", "lsm (2)"]));
        assert!(comparison["command"].as_str().unwrap().ends_with("--config lsm --config lsm"));
    });
}

// The file that a failed command left stood in the way of the corrected one.
#[test]
fn a_recording_of_nothing_leaves_no_file() {
    User::each(|user| {
        user.line("-p db trace record t import nope.tsv").fails(3, "nope.tsv");
        user.line("-p db set a 1").prints("");
        user.line("-p db trace record t get 6 --enc hex").fails(2, "KEY");
        assert_eq!(user.names(), ["db"]);
        user.line("-p db trace record t set k -v").prints("");
        user.line("-p db get k").prints("-v\n");
        assert_eq!(user.names(), ["db", "t"]);
    });
}

// What a killed process leaves was shown as if it were all.
#[test]
fn a_trace_that_is_cut_is_told() {
    User::each(|user| {
        user.feed("-p db trace record t shell".split(' '), b"set a 1\nset b 2\nget a\nget b\n")
            .prints("1\n2\n");
        assert_eq!(user.line("trace show t").stderr, "");
        let bytes = user.read("t");
        user.write("cut", &bytes[..60]);
        for line in ["trace show cut", "trace replay cut --stepped", "bench --trace cut --stepped"] {
            let answer = user.line(line);
            assert_eq!(answer.code, Some(0), "{answer:?}");
            assert!(answer.stderr.contains("cut: ends in the middle"), "{answer:?}");
        }
    });
}
