//! scan: ranges, directions and halves.

use crate::user::User;

fn filled(user: &User) {
    user.feed(["import"], b"a\t1\nb\t2\nb:x\t3\nb:y\t4\nc\t5\n").prints("");
}

#[test]
fn ranges_begin_with_start_and_stop_before_end() {
    User::each(|user| {
        filled(user);
        user.line("scan").prints("a\t1\nb\t2\nb:x\t3\nb:y\t4\nc\t5\n");
        user.line("scan b").prints("b\t2\nb:x\t3\nb:y\t4\nc\t5\n");
        user.line("scan b b:y").prints("b\t2\nb:x\t3\n");
        user.run(["scan", "", "b"]).prints("a\t1\n");
        user.line("scan c a").prints("");
        user.line("scan b b").prints("");
        user.line("scan aa az").prints("");
    });
}

#[test]
fn prefix_direction_and_limit_go_together() {
    User::each(|user| {
        filled(user);
        user.line("scan --prefix b:").prints("b:x\t3\nb:y\t4\n");
        user.line("scan --prefix b --reverse").prints("b:y\t4\nb:x\t3\nb\t2\n");
        user.line("scan b:y --prefix b").prints("b:y\t4\n");
        user.line("scan --reverse --limit 2").prints("c\t5\nb:y\t4\n");
        user.line("scan --limit 1").prints("a\t1\n");
        user.line("scan --limit 0").prints("");
        user.line("scan a c --reverse").prints("b:y\t4\nb:x\t3\nb\t2\na\t1\n");
        user.line("scan --limit x").fails(2, "--limit");
    });
}

#[test]
fn halves_and_counts() {
    User::each(|user| {
        filled(user);
        user.line("scan --keys-only").prints("a\nb\nb:x\nb:y\nc\n");
        user.line("scan --values-only --reverse").prints("5\n4\n3\n2\n1\n");
        user.line("scan --count").prints("5\n");
        user.line("scan --count --prefix b: --json").prints("{\"count\":2}\n");
        user.line("scan --count --limit 3").prints("3\n");
        user.line("scan --keys-only --limit 1 --json").prints("{\"key\":\"a\"}\n");
        user.line("scan --values-only --limit 1 --json").prints("{\"value\":\"1\"}\n");
        user.line("scan --limit 1 --json").prints("{\"key\":\"a\",\"value\":\"1\"}\n");
        user.line("scan --keys-only --count").fails(2, "cannot be used with");
    });
}

#[test]
fn what_is_removed_or_overwritten_is_not_scanned() {
    User::each(|user| {
        filled(user);
        user.line("rm b").prints("");
        user.line("set c 6").prints("");
        user.line("scan").prints("a\t1\nb:x\t3\nb:y\t4\nc\t6\n");
        user.line("compact").prints("");
        user.line("scan").prints("a\t1\nb:x\t3\nb:y\t4\nc\t6\n");
    });
}
