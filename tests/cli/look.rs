//! verify, repair and inspect: looking at files, damaged or not.

use crate::user::{User, names};

/// A store in `db` with two keys, and the path of the file that holds the value of `tea`.
fn filled(user: &User) -> String {
    user.line("-p db set tea green-and-fresh").prints("");
    user.line("-p db set coffee black").prints("");
    let holds = |path: &String| user.read(path).windows(15).any(|bytes| bytes == b"green-and-fresh");
    files(user).into_iter().find(holds).expect("a segment holds the value")
}

fn files(user: &User) -> Vec<String> {
    names(&user.path("db")).iter().map(|name| format!("db/{name}")).collect()
}

/// Changes a byte of the value of `tea`.
fn damage(user: &User, name: &str) {
    let mut bytes = user.read(name);
    let at = bytes.windows(15).position(|bytes| bytes == b"green-and-fresh").expect("the value is there");
    bytes[at] ^= 1;
    user.write(name, bytes);
}

#[test]
fn a_whole_store_is_sound() {
    User::each(|user| {
        filled(user);
        let before = files(user);
        let answer = user.line("-p db verify");
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        assert!(String::from_utf8(answer.stdout).unwrap().ends_with("sound\n"));
        let report = user.line("-p db verify --json").json();
        assert_eq!((&report["engine"], report["damage"].as_array().unwrap().len()), (&user.engine.into(), 0));
        assert_eq!(files(user), before);
    });
}

#[test]
fn damage_is_listed_and_exits_with_four() {
    User::each(|user| {
        let file = filled(user);
        damage(user, &file);
        let answer = user.line("-p db verify");
        assert_eq!((answer.code, &*answer.stderr), (Some(4), ""), "{answer:?}");
        assert!(String::from_utf8(answer.stdout).unwrap().contains("DAMAGED"));
        let answer = user.line("-p db verify --json");
        assert_eq!(answer.code, Some(4));
        let place = &answer.json()["damage"][0];
        assert!(place["path"].as_str().unwrap().contains(&file) && place["offset"].is_u64(), "{place}");
        user.line("-p db get tea").fails(4, "damaged at offset");
    });
}

/// A damaged record in a batch of a thousand: the other 999 are lost with it, and a page of lines that say the
/// same would hide what else is wrong. What is alike is folded; JSON has each.
#[test]
fn damage_that_is_alike_is_folded() {
    User::each(|user| {
        let pairs: String = (0..1000).map(|n| format!("key{n:04}\tvalue {n}\n")).collect();
        user.write("pairs.tsv", pairs);
        user.line("-p db set first value").answers(0, "");
        user.line("-p db import pairs.tsv --format tsv --batch 1000").answers(0, "");
        let log = if user.engine == "lsm" { "db/000001.wal" } else { "db/000001.seg" };
        let mut bytes = user.read(log);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        user.write(log, bytes);
        let verified = String::from_utf8(user.line("-p db verify").stdout).unwrap();
        assert!(verified.lines().count() < 40, "{verified}");
        let places = user.line("-p db verify --json").json()["damage"].as_array().unwrap().len();
        assert!(
            verified
                .trim_end()
                .ends_with(&format!("DAMAGED: {places} place{}", if places == 1 { "" } else { "s" }))
        );
        let repaired = user.line("-p db repair saved");
        assert_eq!(repaired.code, Some(4));
        let text = String::from_utf8(repaired.stdout).unwrap() + &repaired.stderr;
        assert!(text.lines().count() < 60, "{text}");
        if user.engine == "bitcask" {
            assert!(places > 400 && verified.contains(" more like it, up to "), "{places}: {verified}");
        }
    });
}

#[test]
fn repair_saves_what_is_whole_and_touches_nothing() {
    User::each(|user| {
        let name = filled(user);
        user.line("-p db repair db/inside").fails(2, "inside of");
        let answer = user.line("-p db repair whole");
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        user.line("-p whole scan").prints("coffee\tblack\ntea\tgreen-and-fresh\n");
        damage(user, &name);
        let damaged = user.read(&name);
        let answer = user.line("-p db repair saved --json");
        assert_eq!(answer.code, Some(4), "something was lost: {answer:?}");
        assert!(answer.json()["lost"][0]["path"].as_str().unwrap().contains(&name));
        user.line("-p saved scan").prints("coffee\tblack\n");
        assert_eq!(user.read(&name), damaged);
        user.line("-p db repair saved").fails(2, "saved");
    });
}

#[test]
fn without_a_store_there_is_nothing_to_look_at() {
    User::each(|user| {
        for verb in ["verify", "repair dest", "inspect ."] {
            user.line(verb).fails(3, "no store here");
        }
        user.line("-p nowhere verify").fails(3, "no store here");
        // "-p DIR says where it is; kvs set makes one", it said to who had named what to look at.
        user.line("-p nowhere inspect .").fails(3, "inspect does not look at -p");
        user.line("inspect").fails(2, "FILE|DIR");
        user.line("inspect nope").fails(3, "nope");
        assert!(user.names().is_empty());
    });
}

#[test]
fn every_file_can_be_shown_in_every_view() {
    User::each(|user| {
        filled(user);
        let mut targets = files(user);
        targets.push("db".into());
        for target in targets {
            for view in ["", " --explain", " --layout", " --entries", " --props"] {
                let line = format!("inspect {target}{view}");
                let answer = user.line(&line);
                assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{line}: {answer:?}");
                let lines = answer.stdout.split(|byte| *byte == b'\n').count();
                assert!(lines > 1, "{line}: {answer:?}");
                let json = String::from_utf8(user.line(&format!("{line} --json")).stdout).unwrap();
                if view == " --props" {
                    // Each field was an object {"line":"engine=bitcask"}.
                    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
                    assert_eq!(object.as_object().unwrap().len(), lines - 1, "{line}: {json}");
                    continue;
                }
                assert_eq!(json.split('\n').count(), lines, "{line}");
                assert!(json.lines().all(|line| line.starts_with("{\"line\":\"")), "{line}: {json}");
            }
        }
        user.line("inspect db --explain --layout").fails(2, "cannot be used with");
    });
}

#[test]
fn find_tells_every_version_in_every_file() {
    User::each(|user| {
        user.line("find tea").fails(3, "no store here");
        let file = filled(user);
        user.line("-p db set tea again").prints("");
        user.line("-p db rm coffee").prints("");
        let text = user.line("-p db find tea");
        assert_eq!((text.code, &*text.stderr), (Some(0), ""), "{text:?}");
        let text = String::from_utf8(text.stdout).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][..5], ["state", "kind", "seqno", "bytes", "file"]);
        assert_eq!((rows[1][0], rows[1][1], rows[1][3], rows[1][7]), ("live", "set", "5", "again"));
        assert_eq!((rows[2][0], rows[2][1], rows[2][3]), ("dead", "set", "15"));
        let json = String::from_utf8(user.line("-p db find tea --json").stdout).unwrap();
        assert_eq!(json.lines().count(), rows.len() - 1, "{json}");
        assert!(json.lines().all(|line| line.starts_with("{\"key\":\"tea\",\"file\":\"")), "{json}");
        assert!(file.ends_with(rows[2][4]), "{file}: {text}");
        let removed = String::from_utf8(user.line("-p db find coffee").stdout).unwrap();
        assert!(removed.lines().nth(1).unwrap().starts_with("tombstone  remove"), "{removed}");
        let nobody = user.line("-p db find nobody");
        assert_eq!((nobody.code, &*nobody.stdout), (Some(1), &b""[..]));
    });
}

/// Bitcask called each removal of a key that is gone a `tombstone`, though the word is for the newest version.
#[test]
fn find_calls_the_newest_removal_alone_a_tombstone() {
    User::each(|user| {
        user.feed(["-p", "db", "shell"], b"set k 1\nrm k\nset k 2\nrm k\n");
        let text = String::from_utf8(user.line("-p db find k").stdout).unwrap();
        let words = |row: &str| row.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let rows: Vec<String> = text.lines().skip(1).map(words).collect();
        assert_eq!(rows, ["tombstone remove", "dead set", "dead remove", "dead set"], "{text}");
    });
}

#[test]
fn the_shell_looks_at_files_between_writes() {
    User::each(|user| {
        let script = "set tea green\nfind tea\nverify\nset tea black\nget tea\n";
        let answer = user.feed(["-p", "db", "shell"], script.as_bytes());
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        let text = String::from_utf8(answer.stdout).unwrap();
        assert!(text.contains("live   set") && text.contains("\nsound\nblack\n"), "{text}");
    });
}

// A newer version stood in a table that was cut to nothing: the older one was called live, where a get fails. And where
// the manifest or the file with the key was damaged or gone, find knew of no version, or of an `unknown` one, and was
// sure of it: exit code 1, or 0.
#[test]
fn what_find_can_not_read_may_hide_a_version() {
    User::each(|user| {
        // Bitcask's flush would merge the old one away.
        let flush = if user.engine == "lsm" { "flush\n" } else { "" };
        let script = format!("set a old\n{flush}set a new\n{flush}");
        user.feed(["-p", "db", "shell"], script.as_bytes()).prints("");
        let of_value = |value: &[u8]| {
            let holds = |path: &String| user.read(path).windows(3).any(|bytes| bytes == value);
            files(user).into_iter().find(holds).expect("a file holds the value")
        };
        // The state of the newest version that is found; `unknown`, if none is.
        let newest = |file: &str| {
            let answer = user.line("-p db find a");
            assert_eq!((answer.code, answer.stderr.is_empty()), (Some(4), false), "{file}: {answer:?}");
            let text = String::from_utf8(answer.stdout).unwrap();
            text.lines()
                .nth(1)
                .map_or("unknown", |row| if row.starts_with("live") { "live" } else { "unknown" })
        };
        let (old, new) = (of_value(b"old"), of_value(b"new"));
        for file in [&new[..], &old[..], "db/MANIFEST", "db/ENGINE"] {
            let bytes = user.read(file);
            // What stands below the newest version hides nothing.
            let wanted = if file == old && old != new { "live" } else { "unknown" };
            for len in [0, bytes.len() / 2] {
                user.write(file, &bytes[..len]);
                assert_eq!(newest(file), wanted, "{file}, {len} bytes");
                user.line("-p db get a").fails(4, "damaged");
            }
            user.remove(file);
            assert_eq!(newest(file), "unknown", "{file} is gone");
            user.write(file, &bytes);
        }
        assert_eq!(user.line("-p db find a").code, Some(0));
    });
}

// The text showed the value, and the object did not.
#[test]
fn find_tells_the_value_in_json_too() {
    User::each(|user| {
        user.line("-p db set tea green").prints("");
        user.run(["-p", "db", "set", "tea", &"x".repeat(100)]).prints("");
        user.line("-p db rm tea").prints("");
        let text = String::from_utf8(user.line("-p db find tea --json").stdout).unwrap();
        let found: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&found[0]["kind"], &found[0]["value"]), (&"remove".into(), &serde_json::Value::Null));
        assert_eq!(
            (&found[1]["value_begins"], &found[1]["value_bytes"]),
            (&"x".repeat(64).into(), &100.into())
        );
        assert_eq!(found[2]["value"], "green");
    });
}

// The wrong engine passed: "sound". Damage is no reason to refuse, also where it hides the owner.
#[test]
fn the_wrong_engine_is_refused_by_those_who_look_too() {
    User::each(|user| {
        let file = filled(user);
        let other = if user.engine == "lsm" { "bitcask" } else { "lsm" };
        for verb in ["verify", "find tea", "repair saved"] {
            user.line(&format!("-p db -e {other} {verb}")).fails(3, "belongs to the");
            user.line(&format!("-p db {verb} -o no_such=1")).fails(2, "no_such");
        }
        assert_eq!(user.names(), ["db"]);
        damage(user, &file);
        assert_eq!(user.line("-p db verify").code, Some(4));
        user.write("db/ENGINE", "nonsense");
        for verb in ["verify", "find tea"] {
            assert_eq!(user.line(&format!("-p db -e {other} {verb}")).code, Some(4), "{verb}");
        }
    });
}

// "kvs repair DEST saves what is whole", said the repair that could not.
#[test]
fn a_repair_that_can_not_be_does_not_advise_itself() {
    User::each(|user| {
        user.write("db/ENGINE", "nonsense");
        user.write("db/000001.seg", "nonsense");
        let answer = user.line("-p db repair saved");
        assert_eq!(answer.code, Some(4), "{answer:?}");
        assert!(answer.stderr.contains("kvs inspect shows a file"), "{answer:?}");
        assert!(!answer.stderr.contains("kvs repair DEST"), "{answer:?}");
    });
}
