//! set, get, exists and rm, beyond the contract.

use crate::user::User;

#[test]
fn set_and_rm_can_print_the_old_value() {
    User::each(|user| {
        user.line("set tea green --get").prints("Key not found\n");
        user.line("set tea black --get").prints("green\n");
        user.line("rm tea --get").prints("black\n");
        user.line("rm tea --get").answers(1, "Key not found\n");
    });
}

#[test]
fn a_condition_that_does_not_hold_writes_nothing() {
    User::each(|user| {
        let answer = user.line("set tea green --if-present");
        answer.answers(1, "");
        assert!(answer.stderr.contains("not there"), "{answer:?}");
        assert!(user.names().is_empty(), "not even a store");
        user.line("set tea green --if-absent").prints("");
        user.line("set tea black --if-absent").answers(1, "");
        user.line("get tea").prints("green\n");
        user.line("set tea black --if-present --get").prints("green\n");
        user.line("-q set coffee x --if-present").answers(1, "");
        user.line("scan").prints("tea\tblack\n");
        user.line("set tea x --if-present --if-absent").fails(2, "cannot be used with");
    });
}

// With a condition that does not hold --get printed nothing, though the old value is the reason.
#[test]
fn the_old_value_is_printed_where_it_stays() {
    User::each(|user| {
        user.line("set tea green --if-present --get").answers(1, "Key not found\n");
        user.line("set tea green --if-absent --get").prints("Key not found\n");
        user.line("set tea black --if-absent --get").answers(1, "green\n");
        user.line("get tea").prints("green\n");
    });
}

#[test]
fn exists_answers_by_its_exit_code() {
    User::each(|user| {
        user.line("set a 1").prints("");
        user.line("set b 2").prints("");
        user.line("exists a").prints("");
        user.line("exists a b").prints("");
        user.line("exists a nope b").answers(1, "");
        user.line("exists a nope -v").answers(1, "a\tyes\nnope\tno\n");
        user.line("exists a nope --json")
            .answers(1, "{\"key\":\"a\",\"exists\":true}\n{\"key\":\"nope\",\"exists\":false}\n");
    });
}

#[test]
fn rm_takes_many_keys_and_names_those_that_are_missing() {
    User::each(|user| {
        for key in ["a", "b", "c"] {
            user.run(["set", key, "x"]).prints("");
        }
        user.line("rm a nope b").answers(1, "Key not found: nope\n");
        user.line("scan --keys-only").prints("c\n");
    });
}

#[test]
fn raw_is_the_bytes_alone() {
    User::each(|user| {
        user.feed(["set", "k", "-"], b"a\n\nb\xff\n").prints("");
        user.line("get k --raw").prints(b"a\n\nb\xff\n");
        user.line("get nope --raw").answers(0, "");
        user.line("get k --raw --json").fails(2, "--raw");
    });
}

#[test]
fn empty_keys_and_values_are_keys_and_values() {
    User::each(|user| {
        user.run(["set", "", ""]).prints("");
        user.run(["get", ""]).prints("\n");
        user.run(["exists", ""]).prints("");
        user.line("scan").prints("\t\n");
        user.run(["rm", ""]).prints("");
        user.run(["rm", ""]).answers(1, "Key not found\n");
    });
}

#[test]
fn json_answers_are_one_object_a_line() {
    User::each(|user| {
        user.run(["set", "k", "say \"hi\""]).prints("");
        user.line("get k --json").prints("{\"key\":\"k\",\"value\":\"say \\\"hi\\\"\"}\n");
        user.line("--json get nope").prints("{\"key\":\"nope\",\"value\":null}\n");
        user.line("set k v --json").prints("");
        user.line("set k w --get --json").prints("{\"key\":\"k\",\"value\":\"v\"}\n");
        user.line("rm k nope --json")
            .answers(1, "{\"key\":\"k\",\"removed\":true}\n{\"key\":\"nope\",\"removed\":false}\n");
    });
}

#[test]
fn a_key_or_value_that_is_too_long_is_refused_before_a_store_is_made() {
    User::each(|user| {
        let long = "k".repeat(65_536);
        user.run(["set", &long, "v"]).fails(2, "the limit is 65535");
        assert!(user.names().is_empty());
        user.run(["set", &long[1..], "v"]).prints("");
        user.run(["get", &long[1..]]).prints("v\n");
    });
}

// Of several keys some were removed before the wrong one was met, as an error of usage.
#[test]
fn of_a_wrong_key_nothing_is_removed() {
    User::each(|user| {
        user.line("set a 1").prints("");
        user.line("rm 61 zz --enc hex").fails(2, "KEY: 'z' is no hex digit");
        user.run(["rm", "a", &"k".repeat(65_536)]).fails(2, "65536");
        user.line("get a").prints("1\n");
    });
}

// Which of several keys is not there went to the terminal as it was typed, control characters and all.
#[test]
fn keys_that_are_not_there_are_written_as_keys_are() {
    User::each(|user| {
        user.run(["rm", "a\x1b[31m", "b", "--enc", "escape"])
            .answers(1, "Key not found: a\\x1b[31m\nKey not found: b\n");
        user.line("rm 61 62 --enc hex").answers(1, "Key not found: 61\nKey not found: 62\n");
    });
}

// `kvs get photo --raw > photo.jpg` wrote the words into the picture.
#[test]
fn what_is_said_of_a_missing_key_is_none_of_its_bytes() {
    User::each(|user| {
        let answer = user.line("get k --raw");
        answer.answers(0, "");
        assert_eq!(answer.stderr, "kvs: Key not found\n");
    });
}
