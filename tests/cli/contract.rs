//! The coursework contract, row by row.

use crate::user::User;

#[test]
fn set_prints_nothing() {
    User::each(|user| {
        user.line("set key value").prints("");
        user.line("set key other").prints("");
    });
}

#[test]
fn get_prints_the_value_and_a_newline() {
    User::each(|user| {
        user.line("set key value").prints("");
        user.line("get key").prints("value\n");
        user.line("set key other").prints("");
        user.line("get key").prints("other\n");
    });
}

#[test]
fn get_of_a_missing_key_says_so_and_is_no_error() {
    User::each(|user| {
        user.line("set other value").prints("");
        user.line("get key").prints("Key not found\n");
    });
}

#[test]
fn rm_prints_nothing_and_the_key_is_gone() {
    User::each(|user| {
        user.line("set key value").prints("");
        user.line("rm key").prints("");
        user.line("get key").prints("Key not found\n");
    });
}

#[test]
fn rm_of_a_missing_key_says_so_and_fails() {
    User::each(|user| {
        user.line("rm key").answers(1, "Key not found\n");
        user.line("set key value").prints("");
        user.line("rm key").prints("");
        user.line("rm key").answers(1, "Key not found\n");
    });
}

#[test]
fn the_version_is_name_and_number() {
    User::each(|user| {
        let version = format!("kvs {}\n", env!("CARGO_PKG_VERSION"));
        user.line("-V").prints(&version);
        user.line("--version").prints(&version);
    });
}

#[test]
fn wrong_arguments_fail_with_two_and_touch_nothing() {
    User::each(|user| {
        for line in [
            "set",
            "set key",
            "set key value more",
            "get",
            "get key more",
            "rm",
            "exists",
            "scan a b c",
            "unknown",
            "unknown key",
            "get --unknown key",
            "set -x value",
            "-p",
            "--sync never get key",
        ] {
            user.line(line).fails(2, "");
        }
        assert!(user.names().is_empty());
    });
}

#[test]
fn alone_it_prints_its_help_and_fails_with_two() {
    User::each(|user| {
        let answer = user.run([""; 0]);
        answer.answers(2, "");
        assert!(answer.stderr.contains("Usage: kvs") && answer.stderr.contains("rm "), "{answer:?}");
    });
}
