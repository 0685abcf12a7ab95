//! Keys and values are bytes, whatever they look like and however they are written.

use crate::user::{User, noise};
use base64::Engine;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

#[test]
fn values_may_begin_with_a_dash_and_keys_behind_two() {
    User::each(|user| {
        for value in ["-5", "--", "-v", "-h", "--help", "--json", "-p", "--get", "-", "-1 2"] {
            // A lone dash reads standard input.
            let input = if value == "-" { b"-" } else { &b""[..] };
            user.feed(["set", "k", value], input).prints("");
            user.line("get k --raw").prints(value);
            user.feed(["set", "-q", "k2", value, "--sync", "os"], input).prints("");
            user.line("get k2 --raw").prints(value);
        }
        user.line("set -- -k v").prints("");
        user.line("get -- -k").prints("v\n");
        user.line("set -- -k --v").prints("");
        user.line("get -- -k").prints("--v\n");
        user.line("get -k").fails(2, "-k");
        user.line("scan -- -k -l").prints("-k\t--v\n");
        user.line("exists -- -k").prints("");
        user.line("rm -- -k").prints("");
    });
}

#[test]
fn arguments_are_any_bytes() {
    User::each(|user| {
        let key = OsStr::from_bytes(b"k\xff\xfe\n");
        let value = OsStr::from_bytes(b"\x01\x80v");
        user.run([OsStr::new("set"), key, value]).prints("");
        user.run([OsStr::new("get"), key]).prints(b"\x01\x80v\n");
        user.line("scan").prints(b"k\xff\xfe\n\t\x01\x80v\n");
        user.line("scan --json").prints("{\"key_b64\":\"a//+Cg==\",\"value_b64\":\"AYB2\"}\n");
        user.line("scan --enc escape").prints("k\\xff\\xfe\\n\t\\x01\\x80v\n");
        user.line("scan --enc hex").prints("6bfffe0a\t018076\n");
        user.line("scan --enc base64").prints("a//+Cg==\tAYB2\n");
        user.run([OsStr::new("rm"), key]).prints("");
    });
}

#[test]
fn random_bytes_come_back_in_every_encoding() {
    User::each(|user| {
        for (seed, encoding) in (0..12).zip(["escape", "hex", "base64"].into_iter().cycle()) {
            let (key, value) = (noise(seed, 40), noise(1000 + seed, 300));
            let stored = [&key[..], b"\0", &value, b"\0"].concat();
            let key = text(encoding, &key);
            // As an argument, in and out; and what came out, on standard input.
            user.run(["set", &key, &text(encoding, &value), "--enc", encoding]).prints("");
            user.line("scan -0").prints(&stored);
            let printed = user.run(["get", &key, "--enc", encoding]).stdout;
            user.run(["rm", &key, "--enc", encoding]).prints("");
            user.feed(["set", &key, "-", "--enc", encoding], &printed).prints("");
            user.line("scan -0").prints(&stored);
            user.run(["rm", &key, "--enc", encoding]).prints("");
        }
    });
}

fn text(encoding: &str, bytes: &[u8]) -> String {
    match encoding {
        "hex" => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        "escape" => bytes.iter().map(|byte| format!("\\x{byte:02X}")).collect(),
        _ => base64::engine::general_purpose::STANDARD.encode(bytes),
    }
}

#[test]
fn what_is_not_in_its_encoding_is_a_usage_error() {
    User::each(|user| {
        user.line("get abc --enc hex").fails(2, "KEY: an odd number of hex digits");
        user.line("get xx --enc hex").fails(2, "KEY: 'x' is no hex digit");
        user.line("set k \\q --enc escape").fails(2, "VALUE: \\q: no such escape");
        user.line("get ! --enc base64").fails(2, "KEY: not base64");
        user.line("scan 1 --enc hex").fails(2, "START: ");
        user.feed(["set", "6b", "-", "--enc", "hex"], b"6\n").fails(2, "VALUE: ");
        user.line("get k --enc latin1").fails(2, "possible values: text, escape, hex, base64");
        assert!(user.names().is_empty());
    });
}

#[test]
fn nul_ends_fields_instead_of_tab_and_newline() {
    User::each(|user| {
        user.run(["set", "a", "1\n2"]).prints("");
        user.run(["set", "b\t", "3"]).prints("");
        user.line("get a -0").prints("1\n2\0");
        user.line("scan -0").prints("a\x001\n2\0b\t\x003\0");
        user.line("scan -0 --keys-only").prints("a\0b\t\0");
        user.line("scan -0 --values-only").prints("1\n2\x003\0");
    });
}

#[test]
fn a_value_from_standard_input_is_taken_to_the_byte() {
    User::each(|user| {
        for value in [&b""[..], b"\n", b"a", b"a\n", &noise(7, 300_000)] {
            user.feed(["set", "k", "-"], value).prints("");
            assert_eq!(user.line("get k --raw").stdout, value);
        }
        // Where text stands for bytes, the newline at its end is the text's.
        user.feed(["set", "6b", "-", "--enc", "hex"], b"6162\n").prints("");
        user.line("get k").prints("ab\n");
    });
}
