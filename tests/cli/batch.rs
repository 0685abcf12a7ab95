//! batch: all of it, or nothing.

use crate::user::{User, interrupt};
use std::io::Write;

#[test]
fn lines_are_applied_together() {
    User::each(|user| {
        user.line("set coffee black").prints("");
        let lines = "# a comment\n\n  set tea 'green, \"fresh\"'\nset milk \"\" # none\nrm coffee\nrm nope\nset -k --v\n";
        user.feed(["batch"], lines.as_bytes()).prints("");
        user.line("scan").prints("-k\t--v\nmilk\t\ntea\tgreen, \"fresh\"\n");
        user.feed(["batch", "-", "--json"], b"set a 1\nset b 2").prints("{\"applied\":2}\n");
        user.write("steps", "set c 3\r\nrm a\r\n");
        user.line("batch steps").prints("");
        user.line("scan a d").prints("b\t2\nc\t3\n");
    });
}

#[test]
fn the_last_step_of_a_key_wins() {
    User::each(|user| {
        user.feed(["batch"], b"set a 1\nrm a\nset a 2\nset b 1\nrm b\n").prints("");
        user.line("scan").prints("a\t2\n");
    });
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_written() {
    User::each(|user| {
        for (lines, words) in [
            ("set a 1\nset b", "line 2: write `set KEY VALUE`"),
            ("set a 1\n\n\nset b 2 3", "line 4: write `set KEY VALUE`"),
            ("set a 1\nrm", "line 2: write `rm KEY`"),
            ("set a 1\nget a", "line 2: get: neither set nor rm"),
            ("set a 1\nset b 'x", "line 2: a quote is not closed"),
        ] {
            user.feed(["batch"], lines.as_bytes()).fails(2, words);
        }
        let long = format!("set a 1\nset {} v\n", "k".repeat(65_536));
        user.feed(["batch"], long.as_bytes()).fails(2, "line 2: a key of 65536 bytes");
        user.feed(["batch", "--enc", "hex"], b"set 6b 6b\nset 6 6b").fails(2, "line 2: KEY: ");
        user.line("batch nope").fails(3, "nope");
        assert!(user.names().is_empty(), "not even a store");
        user.feed(["batch"], b"").prints("");
        assert!(user.names().is_empty(), "nothing to write");
    });
}

#[test]
fn escapes_are_read_behind_quotes() {
    User::each(|user| {
        user.feed(["batch", "--enc", "escape"], b"set 'a\\x00b' 'x\\ty'\n").prints("");
        user.line("scan --enc hex").prints("610062\t780979\n");
    });
}

#[test]
fn with_nul_every_word_is_taken_as_it_is() {
    User::each(|user| {
        user.feed(["batch", "-0"], b"set\0a b\0'\n\xff\0set\0c\0\0rm\0nope\0").prints("");
        user.line("scan --enc escape").prints("a b\t'\\n\\xff\nc\t\n");
        user.feed(["batch", "-0"], b"set\0a\0b\0set\0c").fails(2, "step 2");
        user.feed(["batch", "-0"], b"rm\0c\0oops\0c\0").fails(2, "step 2: oops");
        user.line("scan --count").prints("2\n");
    });
}

// Ctrl-C goes to all of a pipeline. It killed who wrote the steps; the end of the pipe that this made passed for the
// end of the steps, and half of a batch was written, or half of a value, with exit code 0. Nobody looked at the
// interrupt behind the last byte.
#[test]
fn an_interrupt_that_ends_the_pipe_writes_nothing() {
    User::each(|user| {
        for args in ["batch", "set k -"] {
            let mut child = user.start(args);
            let mut stdin = child.stdin.take().unwrap();
            // More than the pipe holds, so that reading has begun.
            let line = format!("{}\t1\n", "#".repeat(200_000));
            stdin.write_all(line.as_bytes()).unwrap();
            interrupt(&child);
            drop(stdin);
            assert_eq!(child.wait().unwrap().code(), Some(130), "{args}");
            user.line("scan --count").prints("0\n");
        }
    });
}
