//! The store as a whole: stats, compact, sync, checkpoint, options; and whose it is.

use crate::user::{User, finish, hear, interrupt};

#[test]
fn stats_tell_engine_and_keys() {
    User::each(|user| {
        user.line("stats").prints(".: no store here\n");
        assert_eq!(user.line("stats --json").json()["engine"], serde_json::Value::Null);
        user.feed(["import"], b"a\t1\nb\t2\n").prints("");
        let stats = user.line("stats --json").json();
        assert_eq!((stats["engine"].as_str(), stats["keys"].as_u64()), (Some(user.engine), Some(2)));
        let text = String::from_utf8(user.line("stats").stdout).unwrap();
        // The LSM tree estimates, and says so: `keys (about)`.
        let says_two = |line: &str| line.starts_with("keys") && line.split_whitespace().last() == Some("2");
        assert!(text.lines().any(says_two), "{text}");
        user.line("stats --watch 0").fails(2, "--watch");
    });
}

#[test]
fn watched_stats_come_again_until_an_interrupt_and_keep_no_writer_out() {
    User::each(|user| {
        user.line("set a 1").prints("");
        let mut child = user.start("stats --json --watch 0.05");
        assert!(hear(&mut child).contains("\"keys\":1"));
        while user.line("set b 2").code != Some(0) {}
        while !hear(&mut child).contains("\"keys\":2") {}
        interrupt(&child);
        let (code, _) = finish(child);
        assert_eq!(code, Some(130));
    });
}

#[test]
fn upkeep_works_on_a_store_that_is_there() {
    User::each(|user| {
        for line in ["compact", "compact a b", "flush", "sync", "checkpoint copy"] {
            user.line(line).fails(3, "no store here");
        }
        assert!(user.names().is_empty());
        user.feed(["import"], b"a\t1\nb\t2\na\t3\n").prints("");
        user.line("rm b").prints("");
        user.line("compact").prints("");
        user.line("sync").prints("");
        user.line("scan").prints("a\t3\n");
        assert!(user.line("compact --json").json()["disk_bytes_after"].is_u64());
        user.line("set b 4").prints("");
        user.line("flush").prints("");
        for line in ["compact a", "compact a b", "compact b a", "compact --prefix b", "compact 6 --enc hex"] {
            let code = if line.ends_with("hex") { 2 } else { 0 };
            assert_eq!(user.line(line).code, Some(code), "{line}");
        }
        user.line("compact a b c").fails(2, "unexpected");
        user.line("scan").prints("a\t3\nb\t4\n");
    });
}

#[test]
fn a_flushed_store_has_its_writes_in_files_that_do_not_change() {
    User::each(|user| {
        user.line("set k v").prints("");
        let before = user.line("stats --json").json()["files"].clone();
        user.line("flush -q").prints("");
        let after = user.line("stats --json").json()["files"].clone();
        assert_ne!(before, after);
        let is_still = |file: &serde_json::Value| file["state"] != "active" && file["live_bytes"] != 0;
        assert!(after.as_array().unwrap().iter().any(is_still), "{after}");
        user.line("get k").prints("v\n");
    });
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    User::each(|user| {
        user.feed(["import"], b"a\t1\nb\t2\n").prints("");
        user.line("checkpoint copy").prints("");
        user.line("set a 9").prints("");
        user.line("-p copy scan").prints("a\t1\nb\t2\n");
        user.line("-p copy set a 5").prints("");
        user.line("scan").prints("a\t9\nb\t2\n");
        let again = user.line("checkpoint copy");
        assert_ne!(again.code, Some(0), "the destination is taken: {again:?}");
        user.line("-p copy get a").prints("5\n");
    });
}

#[test]
fn options_are_listed_and_wrong_ones_refused() {
    User::each(|user| {
        let text = user.line("options").stdout;
        let json = String::from_utf8(user.line("options --json").stdout).unwrap();
        for line in json.lines() {
            let option: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = option["name"].as_str().unwrap();
            assert!(String::from_utf8_lossy(&text).contains(name), "{name}");
            let setting = format!("{name}={}", option["default"].as_str().unwrap());
            user.run(["-o", &setting, "set", "k", "v"]).prints("");
        }
        for (engine, name) in [("bitcask", "segment_bytes"), ("lsm", "memtable_bytes")] {
            let text = String::from_utf8(user.line(&format!("-p none -e {engine} options")).stdout).unwrap();
            assert!(text.contains(name), "{engine}: {text}");
        }
        user.line("-o nonsense=1 set k v").fails(2, "nonsense");
        user.line("-o nonsense get k").fails(2, "name=value");
        assert!(user.names().is_empty() || user.line("get k").code == Some(0));
    });
}

#[test]
fn another_engine_than_the_owner_is_refused_before_anything_is_touched() {
    User::each(|user| {
        user.line("set k v").prints("");
        let before = user.names();
        for other in ["bitcask", "lsm", "memory"].into_iter().filter(|name| *name != user.engine) {
            for verb in [
                "get k",
                "set k w",
                "scan",
                "stats",
                "compact",
                "flush",
                "levels",
                "explain get k",
                "options",
                "shell",
            ] {
                let answer = user.line(&format!("-e {other} {verb}"));
                answer.fails(3, "belongs to the");
                let is_advised = answer.stderr.contains(&format!("kvs -p . migrate --to {other} DEST"));
                assert_eq!(is_advised, other != "memory", "{answer:?}");
            }
        }
        assert_eq!(user.names(), before);
        let mut command = user.kvs();
        let output = command.env_remove("KVS_ENGINE").args(["get", "k"]).output().unwrap();
        assert_eq!(output.stdout, b"v\n", "the directory knows");
        user.line("-e nonsense get k").fails(2, "no such engine; there are bitcask, lsm, memory");
    });
}

// "abc: a number of bytes", and which of five options that was had to be guessed.
#[test]
fn an_option_that_can_not_be_read_is_named() {
    User::each(|user| {
        let options = match user.engine {
            "lsm" => {
                &["cache_bytes=abc", "compression=abc", "mmap=abc", "filter_bits=abc", "comparator=abc"][..]
            }
            _ => &["segment_bytes=abc", "mmap=abc", "merge_garbage_ratio=abc"],
        };
        for option in options {
            let name = option.split('=').next().unwrap();
            let answer = user.line(&format!("-o {option} set k v"));
            assert_eq!((answer.code, answer.stderr.contains(name)), (Some(2), true), "{option}: {answer:?}");
        }
    });
}

#[test]
fn reading_only_refuses_to_write() {
    User::each(|user| {
        user.line("--read-only get k").prints("Key not found\n");
        user.line("--read-only set k v").fails(3, "reading only");
        assert!(user.names().is_empty());
        user.line("set k v").prints("");
        let writing =
            ["set k w", "rm k", "compact", "flush", "sync", "batch", "import", "set k w --if-present"];
        for verb in writing {
            let answer = user.feed(format!("{verb} --read-only --json").split(' '), b"set\tk\n");
            let refused = answer.code == Some(3) && answer.stderr.contains("\"error\":\"read_only\"");
            // The batch is read first, and that line of it is right.
            assert!(refused || (verb == "batch" && answer.code == Some(2)), "{verb}: {answer:?}");
        }
        user.line("get k --read-only").prints("v\n");
    });
}

#[test]
fn readers_may_be_in_together_but_not_beside_a_writer() {
    User::each(|user| {
        user.line("set k v").prints("");
        let mut reader = user.start("--read-only shell");
        crate::user::say(&mut reader, "get k");
        assert_eq!(hear(&mut reader), "v");
        user.line("get k").prints("v\n");
        user.line("set k w").fails(3, "locked");
        assert_eq!(finish(reader).0, Some(0));
        user.line("set k w").prints("");
    });
}

#[test]
fn damage_is_told_with_its_own_exit_code() {
    User::each(|user| {
        user.line("set k v").prints("");
        let mut identity = user.read("ENGINE");
        identity[20] ^= 1;
        user.write("ENGINE", &identity);
        for verb in ["get k", "set k w", "scan", "stats", "compact"] {
            user.line(verb).fails(4, "damaged at offset 0");
        }
        user.line("get k --json").fails(4, "\"error\":\"corruption\"");
    });
}
