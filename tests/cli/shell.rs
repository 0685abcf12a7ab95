//! shell: the same verbs, one a line.

use crate::user::{User, finish, hear, say};

#[test]
fn the_verbs_answer_as_they_do_alone() {
    User::each(|user| {
        let script = "set tea green\nget tea\nget nope\n\n# comment\nset 'a b' \"c d\"\nset k -v\nscan\n\
                      scan --count --json\nrm tea --get\nrm tea\nexists tea -v\nget k --json\n.exit\nget k\n";
        let answer = user.feed(["shell"], script.as_bytes());
        answer.prints(
            "green\nKey not found\na b\tc d\nk\t-v\ntea\tgreen\n{\"count\":3}\ngreen\nKey not found\ntea\tno\n\
             {\"key\":\"k\",\"value\":\"-v\"}\n",
        );
        user.line("scan").prints("a b\tc d\nk\t-v\n");
    });
}

#[test]
fn a_typo_never_ends_it() {
    User::each(|user| {
        let script = "gte tea\nget\nset k 'v\nget k --jsno\n.foo\nset k -\nimport nope\n\
                      batch\nset k 1 --if-present\nset k v\nget k";
        let answer = user.feed(["shell"], script.as_bytes());
        answer.answers(0, "v\n");
        for words in [
            "line 1: unrecognized subcommand 'gte'",
            "line 2: the following required arguments were not provided: <KEY>",
            "line 3: a quote is not closed",
            "line 4: unexpected argument '--jsno'",
            "line 5: .foo: try .help",
            "line 6: standard input is the shell's: name a file",
            "line 7: open nope",
            "line 8: standard input is the shell's",
        ] {
            assert!(answer.stderr.contains(words), "{words}: {answer:?}");
        }
        assert!(!answer.stderr.contains("Usage"), "{answer:?}");
    });
}

#[test]
fn dots_are_the_shell_itself() {
    User::each(|user| {
        let answer = user.feed(
            ["shell"],
            b"set k v\n.stats\n.levels\n.help\nset --help\n.timing\nget k\n.timing\nget k\n",
        );
        assert_eq!(answer.code, Some(0));
        let text = String::from_utf8(answer.stdout).unwrap();
        for words in [user.engine, "keys", "garbage", "Print the value of a key", ".timing", "Usage: set"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("completions"), "{text}");
        assert_eq!(answer.stderr.lines().count(), 2, "{}", answer.stderr);
    });
}

#[test]
fn upkeep_and_looking_work_on_the_open_store() {
    User::each(|user| {
        let script =
            "set a 1\nset b 22\nflush\ncompact a b\nexplain get b\nexplain scan --limit 1 --json\nlevels\n";
        let answer = user.feed(["shell"], script.as_bytes());
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        let text = String::from_utf8(answer.stdout).unwrap();
        for words in ["a value of 2 bytes", "\"pairs\":1", "####"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let answer = user.feed(["shell"], b"migrate --to bitcask x\n");
        assert!(answer.stderr.contains("unrecognized"), "one-shot: {answer:?}");
    });
}

#[test]
fn the_memory_engine_lasts_as_long_as_the_shell() {
    User::each(|user| {
        user.feed(["-e", "memory", "shell"], b"set k v\nget k\n").prints("v\n");
        user.line("-e memory get k").prints("Key not found\n");
        // It took what was written, said that all was well, and had nothing of it a moment later.
        for write in ["set k v", "rm k", "import"] {
            user.line(&format!("-e memory {write}")).fails(2, "keeps nothing when the command ends");
        }
        assert!(user.names().is_empty());
    });
}

#[test]
fn a_shell_that_only_reads_makes_nothing() {
    User::each(|user| {
        user.feed(["shell"], b"get k\nscan\nrm k\n").prints("Key not found\nKey not found\n");
        assert!(user.names().is_empty());
        user.line("set k v").prints("");
        let answer = user.feed(["--read-only", "shell"], b"get k\nset k w\nget k\n");
        // The script was not done, and the exit code was 0.
        answer.answers(3, "v\nv\n");
        assert!(answer.stderr.contains("line 2: the store is open for reading only"), "{answer:?}");
    });
}

#[test]
fn while_it_holds_the_store_others_are_kept_out() {
    User::each(|user| {
        let mut shell = user.start("shell");
        say(&mut shell, "set k v");
        say(&mut shell, "get k");
        assert_eq!(hear(&mut shell), "v", "each line is answered at once");
        user.line("get k").fails(3, "locked");
        let answer = user.line("set k w --json");
        answer.fails(3, "\"error\":\"locked\"");
        assert_eq!(finish(shell), (Some(0), String::new()));
        user.line("get k").prints("v\n");
    });
}

// A script that met damage, or a disk that failed, ended with 0 like one that went well. What a slip of the hand can
// be is still none of that.
#[test]
fn a_script_ends_with_the_worst_it_met() {
    User::each(|user| {
        let slips = b"gte\nget nope\nrm nope\nimport nope\ncompact\nset k v --if-present\n";
        assert_eq!(user.feed(["shell"], slips).code, Some(0));
        user.line("-p dir set x y").prints("");
        assert_eq!(user.feed(["shell"], b"set k v\nimport dir\nget k\n").code, Some(3), "a directory");
        let mut shell = user.start("-p db shell");
        say(&mut shell, "set tea green-and-fresh");
        say(&mut shell, "get tea");
        assert_eq!(hear(&mut shell), "green-and-fresh");
        let name = if user.engine == "lsm" { "db/000001.wal" } else { "db/000001.seg" };
        let mut bytes = user.read(name);
        let at = bytes.windows(5).position(|bytes| bytes == b"fresh").unwrap();
        bytes[at] ^= 1;
        user.write(name, bytes);
        say(&mut shell, "verify");
        say(&mut shell, "import dir");
        assert_eq!(finish(shell).0, Some(4));
    });
}

// It printed a comment of the source.
#[test]
fn the_shell_says_what_its_lines_are() {
    User::each(|user| {
        for line in ["-h", "--help"] {
            let text = String::from_utf8(user.feed(["shell"], line.as_bytes()).stdout).unwrap();
            assert!(text.starts_with("The commands of the shell"), "{text}");
        }
    });
}
