//! migrate: another store with the same pairs, or none.

use crate::user::{ENGINES, User, finish, interrupt, names};

fn filled(user: &User, pairs: usize) -> Vec<u8> {
    let lines: String = (0..pairs).map(|i| format!("key{i:06}\tvalue{i}\n")).collect();
    user.feed(["-p", "old", "import"], lines.as_bytes()).prints("");
    user.line("-p old rm key000001").prints("");
    user.line("-p old scan").stdout
}

#[test]
fn the_new_store_has_the_same_pairs_and_the_old_one_stays() {
    User::each(|user| {
        let held = filled(user, 500);
        let before = files(user, "old");
        for to in ENGINES {
            let answer = user.line(&format!("-p old migrate --to {to} new/{to} --json"));
            answer.prints("{\"pairs\":499,\"bytes\":8375}\n");
            let mut command = user.kvs();
            command.env_remove("KVS_ENGINE").args(["-p", &format!("new/{to}"), "scan"]);
            assert_eq!(command.output().unwrap().stdout, held);
            let stats = user.line(&format!("-e {to} -p new/{to} stats --json")).json();
            assert_eq!(stats["engine"], to);
            assert_eq!(user.line(&format!("-e {to} -p new/{to} verify")).code, Some(0));
            user.line(&format!("-e {to} -p new/{to} set key000001 again")).prints("");
        }
        assert!(files(user, "old") == before, "not a byte of the source changes");
        assert_eq!(user.line("-p old scan").stdout, held);
    });
}

/// Every file of a store, with its bytes.
fn files(user: &User, dir: &str) -> Vec<(String, Vec<u8>)> {
    let names = names(&user.path(dir)).into_iter();
    names.map(|name| (name.clone(), user.read(&format!("{dir}/{name}")))).collect()
}

#[test]
fn settings_are_those_of_the_new_store() {
    User::each(|user| {
        filled(user, 500);
        let (name, ending) = match user.engine {
            "bitcask" => ("segment_bytes=4KiB", ".seg"),
            _ => ("table_bytes=4KiB", ".sst"),
        };
        user.line(&format!("-p old migrate --to {} usual", user.engine)).prints("");
        user.line(&format!("-p old -o {name} migrate --to {} small", user.engine)).prints("");
        let count = |dir| names(&user.path(dir)).iter().filter(|name| name.ends_with(ending)).count();
        assert!(count("usual") < count("small"));
        user.line(&format!("-p old -o nonsense=1 migrate --to {} other", user.engine)).fails(2, "nonsense");
        user.line("-p other get k").prints("Key not found\n");
    });
}

#[test]
fn it_goes_only_where_nothing_is() {
    User::each(|user| {
        let to = user.engine;
        user.line(&format!("-p old migrate --to {to} new")).fails(3, "no store here");
        user.line("-p old migrate new").fails(2, "--to");
        assert!(user.names().is_empty());
        filled(user, 5);
        user.line(&format!("-p old migrate --to {to} old")).fails(2, "not empty");
        user.line(&format!("-p old migrate --to {to} .")).fails(2, "not empty");
        user.line("-p old migrate --to memory new").fails(2, "keeps nothing");
        user.line("-p old migrate --to tape new").fails(2, "no such engine");
        assert_eq!(user.names(), ["old"]);
        // It was refused, though the help says that the store is only read.
        user.line(&format!("-p old --read-only migrate --to {to} copy")).prints("");
        assert_eq!(user.line("-p copy scan").stdout, user.line("-p old scan").stdout);
        user.line("-p new set k v").prints("");
        user.line(&format!("-p old migrate --to {to} new")).fails(2, "not empty");
        user.line("-p new scan").prints("k\tv\n");
    });
}

#[test]
fn what_a_killed_one_left_is_no_store_and_the_next_one_clears_it() {
    User::each(|user| {
        let held = filled(user, 50);
        let migrate = format!("-p old migrate --to {} new", user.engine);
        user.line(&migrate).prints("");
        // As it is at its last moment.
        let identity = user.read("new/ENGINE");
        user.write("new/ENGINE.unfinished", identity);
        user.remove("new/ENGINE");
        let left = names(&user.path("new"));
        for verb in ["get k", "set k v", "scan", "stats", "compact", "verify", "repair saved", "shell"] {
            user.line(&format!("-p new {verb}"))
                .fails(3, "a migration or a repair into this directory is not finished");
        }
        user.line("-p new get k --json").fails(3, "\"error\":\"unfinished\"");
        assert_eq!(names(&user.path("new")), left);
        user.line(&migrate).prints("");
        assert_eq!(user.line("-p new scan").stdout, held);
    });
}

#[test]
fn an_interrupt_leaves_an_empty_directory() {
    User::each(|user| {
        let held = filled(user, 200_000);
        let migrate = format!("-p old migrate --to {} new", user.engine);
        let child = user.start(&migrate);
        while !user.path("new/ENGINE.unfinished").exists() && !user.path("new/ENGINE").exists() {
            std::thread::yield_now();
        }
        interrupt(&child);
        match finish(child) {
            (Some(130), words) => {
                assert!(words.contains("interrupted"), "{words}");
                assert!(names(&user.path("new")).is_empty());
                user.line(&migrate).prints("");
            }
            // It was quicker than we.
            (code, words) => assert_eq!((code, &*words), (Some(0), "")),
        }
        assert!(user.line("-p new scan").stdout == held);
        assert!(user.line("-p old scan").stdout == held);
    });
}

// To memory no store can be moved, which was advised; from memory, which holds nothing, an empty store was made.
#[test]
fn nothing_is_moved_to_memory_or_from_it() {
    User::each(|user| {
        user.line("-p old set k v").prints("");
        let answer = user.line("-e memory -p old get k");
        answer.fails(3, "not to memory");
        assert!(!answer.stderr.contains("migrate"), "{answer:?}");
        user.line("-e memory migrate --to bitcask new").fails(2, "holds nothing");
        assert_eq!(user.names(), ["old"]);
    });
}
