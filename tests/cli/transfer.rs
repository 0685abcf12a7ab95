//! import and export: what goes out comes in again.

use crate::user::{User, interrupt, names, noise};
use std::fs::{Permissions, set_permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

/// Pairs of any bytes, the awkward ones among them.
fn filled(user: &User) {
    let mut steps = Vec::new();
    let awkward: [&[u8]; 8] = [b"", b"\t", b"\n", b"\\n", b"\xff", b"\x00", b"\"", "茶".as_bytes()];
    let random = (2..42).map(|seed| noise(seed, seed as usize));
    for (i, key) in awkward.into_iter().map(<[u8]>::to_vec).chain(random).enumerate() {
        let value = noise(500 + i as u64, i * 7);
        for (kind, bytes) in [("key", &key), ("value", &value)] {
            steps.extend_from_slice(if kind == "key" { b"set\0" } else { b"" });
            steps.extend(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
            steps.push(0);
        }
    }
    user.feed(["batch", "-0", "--enc", "hex"], &steps).prints("");
}

#[test]
fn every_format_brings_any_bytes_back() {
    User::each(|user| {
        filled(user);
        let all = user.line("scan --enc hex").stdout;
        for format in [
            "--format=jsonl",
            "--format=resp",
            "--format=tsv --enc=escape",
            "--format=tsv --enc=hex",
            "--format=tsv --enc=base64",
            "--format=tsv --enc=escape -0",
            "--format=jsonl --json",
        ] {
            let out = user.line(&format!("export {format}"));
            assert_eq!((out.code, &*out.stderr), (Some(0), ""), "{format}");
            let answer = user.feed(format!("-p copy import --batch 7 {format}").split(' '), &out.stdout);
            assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{format}");
            assert_eq!(user.line("-p copy scan --enc hex").stdout, all, "{format}");
            user.line("-p copy scan --count").prints("48\n");
            let keys = user.line("-p copy scan --keys-only --enc hex").stdout;
            let rm = String::from_utf8(keys).unwrap();
            user.run(["-p", "copy", "rm", "--enc", "hex"].into_iter().chain(rm.lines())).prints("");
        }
    });
}

#[test]
fn the_name_of_a_file_says_its_format() {
    User::each(|user| {
        user.line("set k v").prints("");
        for (name, text) in [
            ("x.jsonl", "{\"key\":\"k\",\"value\":\"v\"}\n"),
            ("x.tsv", "k\tv\n"),
            ("x", "k\tv\n"),
            ("x.resp", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"),
        ] {
            user.run(["export", name]).prints("");
            assert_eq!(user.read(name), text.as_bytes());
            user.run(["-p", "copy", "import", name, "--json"]).prints("{\"imported\":1}\n");
            user.line("-p copy rm k").prints("");
        }
        user.line("export --json").prints("{\"key\":\"k\",\"value\":\"v\"}\n");
        user.line("export -").prints("k\tv\n");
        user.line("export x.tsv --prefix nope").prints("");
        assert_eq!(user.read("x.tsv"), b"");
    });
}

#[test]
fn tsv_without_an_encoding_refuses_what_it_can_not_say() {
    User::each(|user| {
        user.run(["set", "k", "a\tb"]).prints("");
        user.line("export").prints("k\ta\tb\n");
        user.feed(["import"], b"k\ta\tb\tc\n").prints("");
        user.line("get k").prints("a\tb\tc\n");
        user.run(["set", "k", "a\nb"]).prints("");
        user.line("export").fails(2, "--enc escape");
        user.line("export -0").prints("k\0a\nb\0");
        user.line("export --enc escape").prints("k\ta\\nb\n");
    });
}

#[test]
fn a_wrong_line_is_named_and_what_stands_before_it_is_in() {
    User::each(|user| {
        for (args, input, words) in [
            (
                "import",
                &b"a\t1\n\nb\t2\nno tab\nd\t4\n"[..],
                "line 4: no tab between key and value; 2 pairs before it were imported",
            ),
            ("import --batch 1", b"a\t1\nno tab\n", "line 2: no tab between key and value; 1 pairs"),
            ("import --enc hex", b"61\t31\n6\t31\n", "line 2: key: an odd number of hex digits; 1 pairs"),
            (
                "import --format jsonl",
                b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\"}\n",
                "line 2: no value; 1 pairs",
            ),
            (
                "import --format jsonl",
                b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":7}\n",
                "line 2: invalid type",
            ),
            (
                "import --format jsonl",
                b"{\"key\":\"a\",\"value\":\"1\",\"ttl\":1}\n",
                "line 1: unknown field `ttl`",
            ),
            (
                "import --format jsonl",
                b"{\"key\":\"a\",\"key_b64\":\"YQ==\",\"value\":\"1\"}\n",
                "line 1: key and key_b64",
            ),
            (
                "import --format jsonl",
                b"{\"key\":\"a\",\"value_b64\":\"!\"}\n",
                "line 1: value_b64: not base64",
            ),
            ("import --format jsonl", b"{\"key\":\n", "line 1: EOF"),
            ("import --format resp", b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "command 1: only SET KEY VALUE"),
            ("import --format resp", b"*3\r\n$4\r\nHSET\r\n", "command 1: only SET KEY VALUE"),
            (
                "import --format resp",
                b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nb\r\n",
                "command 1: the command is cut",
            ),
            ("import --format resp", b"*3\r\n$3\r\nSET\r\n$1\r\nabc\r\n", "command 1: a string is longer"),
            ("import --format resp", b"SET a b\r\n", "command 1: a line of the Redis protocol begins with *"),
            (
                "import --format resp",
                b"*3\r\n$3\r\nSET\r\n$99999999999\r\n",
                "command 1: longer than a value can be",
            ),
            ("import -0", b"a\0b\0c\0", "pair 2: a key without a value; 1 pairs"),
        ] {
            user.feed(args.split(' '), input).fails(2, words);
        }
        user.line("scan").prints("a\tb\nb\t2\n");
        let long = format!("ok\t1\n{}\tv\n", "k".repeat(65_536));
        user.feed(["import"], long.as_bytes()).fails(2, "line 2: a key of 65536 bytes");
        user.line("get ok").prints("1\n");
        user.line("import nope.tsv").fails(3, "nope.tsv");
        user.line("import --batch 0").fails(2, "--batch");
        user.line("import .").fails(3, "directory");
    });
}

#[test]
fn redis_writes_set_in_any_case() {
    User::each(|user| {
        let input = b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$3\r\nx\r\n\r\n*3\r\n$3\r\nSet\r\n$0\r\n\r\n$0\r\n\r\n";
        user.feed(["import", "--format", "resp"], input).prints("");
        user.line("scan --enc escape").prints("\t\na\tx\\r\\n\n");
    });
}

#[test]
fn many_pairs_stream_through() {
    User::each(|user| {
        let lines: String = (0..20_000).map(|i| format!("key{i:06}\tvalue{i}\n")).collect();
        user.feed(["import", "--json"], lines.as_bytes()).prints("{\"imported\":20000}\n");
        user.line("export").prints(&lines);
    });
}

#[test]
fn sorted_pairs_are_loaded_in_one_go() {
    User::each(|user| {
        filled(user);
        let all = user.line("scan --enc hex").stdout;
        for format in
            ["--format=jsonl", "--format=resp", "--format=tsv --enc=hex", "--format=tsv --enc=escape -0"]
        {
            let out = user.line(&format!("export {format}")).stdout;
            let copy = format!("copy{}", format.len());
            let answer = user.feed(format!("-p {copy} import --sorted {format}").split(' '), &out);
            answer.prints("");
            assert_eq!(user.line(&format!("-p {copy} scan --enc hex")).stdout, all, "{format}");
        }
        user.feed("-p one import --sorted --json".split(' '), b"a\t1\nb\t2\n").prints("{\"imported\":2}\n");
        user.feed("-p one import --sorted --json".split(' '), b"").prints("{\"imported\":0}\n");
        user.feed("-p one import --sorted".split(' '), b"a\t3\nc\t4\n").prints("");
        user.line("-p one scan").prints("a\t3\nb\t2\nc\t4\n");
        user.line("import --sorted --batch 7").fails(2, "cannot be used with");
    });
}

#[test]
fn the_line_that_breaks_the_order_is_named() {
    User::each(|user| {
        for (args, input, words) in [
            ("import --sorted", &b"b\t1\n\na\t2\n"[..], "line 3: \"a\" is not above \"b\": sort the input"),
            ("import --sorted", b"a\t1\nb\t1\nb\t2\n", "line 3: \"b\" is not above \"b\""),
            ("import --sorted", b"a\t1\nno tab\n", "line 2: no tab between key and value"),
            ("import --sorted -0", b"\xff\x001\0a\x002\0", "pair 2: \"a\" is not above \"\\xff\""),
            (
                "import --sorted --format jsonl",
                b"{\"key\":\"b\",\"value\":\"1\"}\n{\"key\":\"B\",\"value\":\"1\"}\n",
                "line 2: \"B\" is not above \"b\"",
            ),
        ] {
            user.feed(args.split(' '), input).fails(2, words);
            let count = user.line("scan --count").stdout;
            assert!(user.engine != "lsm" || count == b"0\n", "{words}: something is half done");
        }
        let long = format!("a\t1\n{}\tv\n", "k".repeat(65_536));
        user.feed(["import", "--sorted"], long.as_bytes()).fails(2, "line 2: a key of 65536 bytes");
    });
}

// The producer died in the middle of a line, and the line was called wrong, or, where it had its tab, imported.
#[test]
fn an_interrupt_that_ends_the_pipe_imports_no_half_of_a_line() {
    User::each(|user| {
        let mut child = user.start("import --batch 10");
        let lines: String = (0..20_000).map(|i| format!("key{i:06}\tvalue{i}\n")).collect();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(lines.as_bytes()).unwrap();
        stdin.write_all(b"zz-half\tof a va").unwrap();
        interrupt(&child);
        drop(stdin);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let text = user.line("scan").stdout;
        assert!(lines.as_bytes().starts_with(&text), "whole lines only");
    });
}

#[test]
fn an_interrupt_leaves_whole_batches() {
    User::each(|user| {
        let mut child = user.start("import --batch 10");
        let lines: String = (0..20_000).map(|i| format!("key{i:06}\tvalue{i}\n")).collect();
        // More than the pipe holds, so that some of it was read; and it waits for more.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(lines.as_bytes()).unwrap();
        interrupt(&child);
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(130));
        let count: u64 = String::from_utf8(user.line("scan --count").stdout).unwrap().trim().parse().unwrap();
        assert!(count <= 20_000, "{count}");
        let first: String = lines.split_inclusive('\n').take(count as usize).collect();
        user.line("scan").prints(&first);
    });
}

// An empty file was enough for a store; batch makes none then.
#[test]
fn an_import_of_nothing_makes_no_store() {
    User::each(|user| {
        for args in ["import --json", "import --sorted --json"] {
            user.line(args).prints("{\"imported\":0}\n");
            assert!(user.names().is_empty());
        }
        user.line("--read-only import").fails(3, "reading only");
    });
}

// export emptied FILE before it knew what to write: a typo in -p made an empty file of a backup, with exit code 0; an
// export that failed left a part of itself in its place; and one into a file of the store destroyed the store.
#[test]
fn an_export_replaces_a_file_as_a_whole_or_not_at_all() {
    User::each(|user| {
        user.write("backup.tsv", "good");
        let answer = user.line("-p typo export backup.tsv");
        answer.answers(0, "");
        assert!(answer.stderr.contains("no store here: backup.tsv is left as it is"), "{answer:?}");
        user.line("-p typo export new.tsv").answers(0, "");
        user.line("-p db set a 1").prints("");
        user.run(["-p", "db", "set", "b", "x\ny"]).prints("");
        user.line("-p db export backup.tsv").fails(2, "--enc escape");
        assert_eq!(
            (user.read("backup.tsv"), user.names()),
            (b"good".to_vec(), vec!["backup.tsv".into(), "db".into()])
        );
        user.line("-p db export backup.tsv --prefix a").prints("");
        assert_eq!(user.read("backup.tsv"), b"a\t1\n");
        user.line("-p db export nowhere/new.tsv").fails(3, "nowhere");
        user.line("-p db export db").fails(3, "directory");
    });
}

#[test]
fn an_export_does_not_overwrite_a_store() {
    User::each(|user| {
        user.line("-p db set a 1").prints("");
        let before: Vec<_> = names(&user.path("db")).into_iter().map(|name| format!("db/{name}")).collect();
        let kept: Vec<_> = before.iter().map(|name| user.read(name)).collect();
        for file in before.iter().chain([&"db/../db/000777.seg".to_string()]) {
            user.run(["-p", "db", "export", file]).fails(2, "a file of a store");
        }
        user.line("-p other set x y").prints("");
        user.line("-p other export db/MANIFEST").fails(2, "a file of a store");
        assert_eq!(before.iter().map(|name| user.read(name)).collect::<Vec<_>>(), kept);
        user.line("-p db export db/pairs.tsv").prints("");
        assert_eq!(user.read("db/pairs.tsv"), b"a\t1\n");
    });
}

#[test]
fn an_export_writes_through_links_and_into_pipes() {
    User::each(|user| {
        user.line("set a 1").prints("");
        user.write("real", "a longer text that was there before");
        symlink("real", user.path("link")).unwrap();
        set_permissions(user.path("real"), Permissions::from_mode(0o640)).unwrap();
        user.line("export link --format tsv").prints("");
        assert_eq!((user.read("real"), user.path("link").is_symlink()), (b"a\t1\n".to_vec(), true));
        assert_eq!(user.path("real").metadata().unwrap().permissions().mode() & 0o777, 0o640);
        user.line("export /dev/stdout --format tsv").prints("a\t1\n");
        user.line("export /dev/null --format tsv").prints("");
        let script =
            format!("{} export /dev/stdout --format tsv > real; cat real", env!("CARGO_BIN_EXE_kvs"));
        assert_eq!(user.sh(&script).output().unwrap().stdout, b"a\t1\n");
    });
}

// A list was taken for an object: its first was the key, its second the value.
#[test]
fn a_list_is_no_object() {
    User::each(|user| {
        for line in ["[\"a\",\"ARR\",null,null]", "5", "\"a\"", "null"] {
            let answer = user.feed(["import", "--format", "jsonl"], line.as_bytes());
            answer.fails(2, "line 1: no object: write {\"key\"");
            assert!(!answer.stderr.contains("Row"), "{answer:?}");
        }
        let answer = user.feed(["import", "--format", "jsonl"], b"{\"key\":5,\"value\":\"v\"}");
        answer.fails(2, "line 1: ");
        assert!(user.names().is_empty());
    });
}

// Blank lines, or a first line that is wrong, were enough to make a store.
#[test]
fn an_import_that_writes_nothing_makes_no_store() {
    User::each(|user| {
        for flag in ["", " --sorted"] {
            let import = format!("import{flag}");
            user.feed(import.split(' '), b"\n\n").prints("");
            user.feed(import.split(' '), b"yy").fails(2, "line 1: no tab");
            assert!(user.names().is_empty(), "{import}");
        }
    });
}
