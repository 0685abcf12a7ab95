//! What the rewritten text looks like.

use super::*;
use crate::list::Span;

/// A mutant of the stretch that `what` is, at its first place.
fn mutant(text: &str, number: u32, genre: &str, what: &str, replacement: &str) -> Mutant {
    let at = text.find(what).expect("the text has it");
    let place = |at: usize| {
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    };
    Mutant {
        number,
        file: String::new(),
        name: String::new(),
        title: String::new(),
        key: String::new(),
        genre: genre.into(),
        replacement: replacement.into(),
        span: Span { start: place(at), end: place(at + what.len()) },
    }
}

fn rewritten(text: &str, mutants: &[Mutant]) -> Rewritten {
    let rewritten = rewrite(text, &mutants.iter().collect::<Vec<_>>()).expect("the text parses");
    syn::parse_file(&rewritten.text).expect("what is written parses");
    rewritten
}

#[test]
fn an_operator_is_switched_and_what_is_within_stands_in_the_last_branch() {
    let text = "fn f() { a + b * c }";
    let mutants = [
        mutant(text, 1, "BinaryOperator", "+", "*"),
        mutant(text, 2, "BinaryOperator", "+", "-"),
        mutant(text, 3, "BinaryOperator", "*", "/"),
    ];
    let rewritten = rewritten(text, &mutants).text.replace("crate::mutation::", "");
    let within = "(if on(3) { (b) / (c) } else { b * c })";
    let whole =
        format!("(if on(1) {{ (a) * (b * c) }} else if on(2) {{ (a) - (b * c) }} else {{ a + {within} }})");
    assert_eq!(rewritten, format!("fn f() {{ {whole} }}"));
}

#[test]
fn a_head_stands_before_what_begins_there() {
    let text = "fn f() -> bool { !x }";
    let mutants = [mutant(text, 1, "FnValue", "!x", "true"), mutant(text, 2, "UnaryOperator", "!", "")];
    let rewritten = rewritten(text, &mutants).text.replace("crate::mutation::", "");
    assert_eq!(rewritten, "fn f() -> bool {  if on(1) { return true; } (if on(2) { (x) } else { !x }) }");
}

#[test]
fn an_arm_goes_by_a_guard() {
    let text = "fn f() { match x { A => 1, B(y) if y > 2 => 2, _ => 3 } }";
    let mutants = [
        mutant(text, 1, "MatchArm", "A => 1,", ""),
        mutant(text, 2, "MatchArm", "B(y) if y > 2 => 2,", ""),
        mutant(text, 3, "MatchArmGuard", "y > 2", "true"),
        mutant(text, 4, "BinaryOperator", "> 2", "<"),
    ];
    let rewritten = rewritten(text, &mutants).text.replace("crate::mutation::", "");
    assert!(rewritten.contains("A if !on(1)  =>"), "{rewritten}");
    let guard = "if !on(2) && (if on(3) { true } else if on(4) { (y) < (2) } else { y > 2 }) =>";
    assert!(rewritten.contains(guard), "{rewritten}");
}

#[test]
fn a_field_is_that_of_the_base() {
    let text = "fn f() { S { a: 1, b, ..old } }";
    let mutants = [mutant(text, 1, "StructField", "a: 1", ""), mutant(text, 2, "StructField", "b,", "")];
    let rewritten = rewritten(text, &mutants).text.replace("crate::mutation::", "");
    assert!(rewritten.contains("a: (if on(1) { (old).a } else { 1 })"), "{rewritten}");
    assert!(rewritten.contains("b: (if on(2) { (old).b } else { b })"), "{rewritten}");
}

#[test]
fn a_let_in_a_chain_is_left_alone() {
    let text = "fn f() { if let A = a && b == c && d {} }";
    let mutants =
        [mutant(text, 1, "BinaryOperator", "&& b", "||"), mutant(text, 2, "BinaryOperator", "==", "!=")];
    let rewritten = rewritten(text, &mutants);
    assert_eq!(rewritten.left_out, [1]);
    assert!(rewritten.text.contains("(b) != (c)"));
}

#[test]
fn an_error_is_told_to_the_mutant_it_is_in() {
    let text = "fn f() { a + b * c }";
    let mutants = [mutant(text, 1, "BinaryOperator", "+", "-"), mutant(text, 2, "BinaryOperator", "*", "/")];
    let rewritten = rewritten(text, &mutants);
    let culprit = |of: &str| {
        let at = rewritten.text.find(of).expect("it is there");
        rewritten.culprits(&(at..at + of.len())).expect("it is in a mutant").to_vec()
    };
    assert_eq!(culprit("(a) - (b * c)"), [1]);
    assert_eq!(culprit("(b) / (c)"), [2]);
    assert_eq!(culprit("b * c })"), [2]);
}
