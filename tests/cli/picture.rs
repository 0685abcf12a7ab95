//! levels and explain: how the store lies, and what a read looks at.

use crate::user::User;

fn text(user: &User, line: &str) -> String {
    let answer = user.line(line);
    assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{line}: {answer:?}");
    String::from_utf8(answer.stdout).expect("pictures are text")
}

/// Several files, with garbage in them.
fn filled(user: &User, path: &str) {
    let size = if user.engine == "bitcask" { "segment_bytes=4KiB" } else { "memtable_bytes=4KiB" };
    let lines: String = (0..400).map(|i| format!("key{:03}\t{}\n", i % 150, "v".repeat(40))).collect();
    user.feed(["-p", path, "-o", size, "import"], lines.as_bytes()).prints("");
    user.line(&format!("-p {path} flush")).prints("");
}

#[test]
fn levels_are_drawn_with_their_bytes() {
    User::each(|user| {
        filled(user, "db");
        let picture = text(user, "-p db levels");
        let head = picture.lines().next().unwrap();
        assert!(
            head.split_whitespace().eq(["level", "files", "entries", "bytes", "live", "garbage"]),
            "{head}"
        );
        assert!(picture.contains(&"#".repeat(30)), "the largest level has the longest bar: {picture}");
        assert!(picture.lines().all(|line| line.trim_end() == line), "{picture}");
        let name = if user.engine == "bitcask" { "segments" } else { "level " };
        assert!(picture.lines().any(|line| line.starts_with(name)), "{picture}");

        let json = user.line("-p db levels --json").json();
        assert_eq!(json["engine"], user.engine);
        let sum = |of: &serde_json::Value| -> u64 {
            of.as_array().unwrap().iter().map(|each| each["bytes"].as_u64().unwrap()).sum()
        };
        let stats = user.line("-p db stats --json").json();
        assert_eq!(sum(&json["levels"]), sum(&stats["files"]));
        for level in json["levels"].as_array().unwrap() {
            assert_eq!(level["bytes"].as_u64().unwrap(), sum(&level["files"]));
        }

        let files: Vec<_> = stats["files"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
        assert!(files.len() > 1);
        let verbose = user.line("-p db levels -v");
        let verbose = String::from_utf8(verbose.stdout).unwrap();
        for name in files {
            assert!(verbose.contains(name.as_str().unwrap()), "{name}: {verbose}");
        }
        let is_sorted = user.engine == "lsm";
        assert_eq!(verbose.contains("\"key000\" to "), is_sorted, "{verbose}");
    });
}

#[test]
fn equal_stores_are_drawn_equal() {
    User::each(|user| {
        for path in ["a", "b"] {
            user.feed(["-p", path, "import"], b"k\tv\nl\tw\n").prints("");
        }
        for line in ["levels", "levels -q --color never", "-v levels"] {
            let [a, b] = ["a", "b"].map(|path| user.line(&format!("-p {path} {line}")).stdout);
            assert_eq!(a, b);
        }
        assert!(text(user, "-p a levels").len() > 40);
    });
}

#[test]
fn without_a_store_there_is_no_picture() {
    User::each(|user| {
        user.line("levels").prints(".: no store here\n");
        user.line("levels --json").prints("{\"engine\":null,\"levels\":[]}\n");
        user.line("levels --watch never").fails(2, "--watch");
        user.line("levels --html x").fails(2, "--html");
        user.line("explain get k").fails(3, "no store here");
        user.line("explain scan").fails(3, "no store here");
        assert_eq!(user.line("explain").code, Some(2));
        user.line("explain get").fails(2, "KEY");
        assert!(user.names().is_empty());
    });
}

#[test]
fn a_get_is_explained_up_to_where_it_was_found() {
    User::each(|user| {
        user.line("set tea green").prints("");
        user.line("set coffee black").prints("");
        let story = text(user, "explain get tea");
        let head = ["step", "place", "level", "filter", "outcome", "blocks", "cached", "bytes"];
        assert!(story.lines().next().unwrap().split_whitespace().eq(head), "{story}");
        let last = story.lines().last().unwrap();
        assert!(last.starts_with("found in ") && last.contains("a value of 5 bytes; "), "{story}");

        let json = user.line("explain get tea --json").json();
        assert_eq!((&json["engine"], &json["visible_seqno"]), (&user.engine.into(), &2.into()));
        let found = &json["found"];
        assert_eq!(found["value_bytes"], 5);
        // Where the engine knows which write it was, it says so.
        assert_eq!(last.contains(": write 1, a value"), found["seqno"] == 1, "{story}");
        let steps = json["steps"].as_array().unwrap();
        assert!(steps.iter().any(|step| step["place"] == found["place"]), "{json}");
        assert_eq!(story.lines().count(), steps.len() + 2);

        let story = text(user, "explain get nope");
        assert!(story.lines().last().unwrap().starts_with("not found; "), "{story}");
        assert_eq!(user.line("explain get nope --json").json()["found"], serde_json::Value::Null);
        user.run(["explain", "get", "746561", "--enc", "hex"]).prints(text(user, "explain get tea"));
    });
}

#[test]
fn a_scan_is_explained_by_its_pairs_and_bytes() {
    User::each(|user| {
        user.feed(["import"], b"a1\tx\na2\txy\nb1\txyz\nb2\tv\n").prints("");
        for (line, pairs, last) in [
            ("explain scan", 4, 1),
            ("explain scan a2 b2", 2, 3),
            ("explain scan --prefix a", 2, 2),
            ("explain scan --limit 1", 1, 1),
            ("explain scan a2 --limit 2", 2, 3),
        ] {
            let json = user.line(&format!("{line} --json")).json();
            assert_eq!(
                (&json["pairs"], &json["found"]["value_bytes"]),
                (&pairs.into(), &last.into()),
                "{line}"
            );
            let story = text(user, line);
            let words =
                if pairs > 1 { format!("{pairs} pairs, the last found in ") } else { "found in ".into() };
            assert!(story.lines().last().unwrap().starts_with(&words), "{story}");
        }
        assert!(text(user, "explain scan x").lines().last().unwrap().starts_with("not found; "));
        assert_eq!(user.line("explain scan --limit 0 --json").json()["pairs"], 0);
    });
}
