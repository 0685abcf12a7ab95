//! Many short lives: a store that is only ever opened for one command stays whole and small.

use crate::user::User;

/// Commands, each a process of its own that may have no more than 64 files open.
const COMMANDS: usize = 2000;

#[test]
fn two_thousand_commands_leave_all_keys_and_few_files() {
    User::each(|user| {
        let script = format!(
            "ulimit -n 64; i=0; while [ $i -lt {COMMANDS} ]; do \
             \"$KVS\" set \"key$i\" \"value of $i\" || exit 1; i=$((i + 1)); done"
        );
        let output = user.sh(&script).env("KVS", env!("CARGO_BIN_EXE_kvs")).output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", user.engine);
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b""[..], &b""[..]));

        let mut expected: Vec<_> = (0..COMMANDS).map(|i| format!("key{i}\tvalue of {i}\n")).collect();
        expected.sort();
        user.line("scan").prints(expected.concat());
        let output =
            user.sh("ulimit -n 64; \"$KVS\" get key7").env("KVS", env!("CARGO_BIN_EXE_kvs")).output();
        assert_eq!(output.unwrap().stdout, b"value of 7\n");

        // Identity, manifest and what holds the pairs: the log that every command has gone on with.
        let names = user.names();
        assert!(names.len() <= 6, "{}: {names:?}", user.engine);
        let stats = user.line("stats --json").json();
        let files = stats["files"].as_array().unwrap();
        let tables = files.iter().filter(|file| file["state"] == "table").count();
        assert_eq!(tables, 0, "80 KiB are too little for a table: {stats}");
        user.line("flush").prints("");
        user.line("verify").answers(0, user.line("verify").stdout);
        user.line("scan").prints(expected.concat());
    });
}
