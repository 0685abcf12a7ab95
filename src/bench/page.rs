//! The page of a comparison: one file that needs nothing else, and every plot of it by itself.
//!
//! ```text
//! figures ─ ledger ─ series          what is plotted, of which runs
//!    v
//! lines  areas  bars                 the marks
//!    v
//! plot ─ scale ─ units               title, axes, legend, round numbers
//! ```
//!
//! The page is HTML and well-formed XML. Names of configurations and workloads come from users: all text
//! goes through `maud`, which escapes it, and `units::printable` takes out what XML has no place for.
//! Colours are CSS variables, after Okabe and Ito, "Color Universal Design" (2008), and follow the reader's
//! choice of light or dark. The script sorts, filters and tells numbers; the page is whole without it.

mod areas;
mod bars;
mod figures;
mod ledger;
mod lines;
mod plot;
mod scale;
mod series;
mod table;
mod units;

use crate::bench::compare::Comparison;
use crate::bench::page::figures::{Plate, colour};
use crate::bench::page::series::Side;
use crate::bench::report::Report;
use crate::bench::workload::Workload;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The whole comparison as one page, without anything to load. Costs a few milliseconds, and some
/// 100 KB for each workload.
pub fn html(comparison: &Comparison) -> String {
    let title = headline(comparison);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (PreEscaped("<meta charset=\"utf-8\"/>"))
                (PreEscaped("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"))
                title { (title) }
                style { (verbatim(&format!("{}{}", plot::STYLE, include_str!("page/page.css")))) }
            }
            body {
                header { (lede(comparison, &title)) }
                main {
                    h2 id="figures-by-workload" { "Figures" }
                    p { (HOW_TO_READ) }
                    (table::figures(comparison))
                    (words())
                    @for at in 0..comparison.workloads.len() { (section(comparison, at)) }
                }
                script { (verbatim(include_str!("page/page.js"))) }
            }
        }
    };
    units::printable(page.into_string())
}

/// Every plot of the page by itself: the name of its file, and the picture, which needs nothing else.
pub fn plots(comparison: &Comparison) -> Vec<(String, String)> {
    let again = again(comparison);
    let of = |at: usize| {
        let name = comparison.workloads.get(at).map_or_else(String::new, |name| units::slug(name));
        let again = again.clone();
        figures::of(comparison, at).into_iter().map(move |plate| {
            let file = format!("{:02}-{name}-{}.svg", at + 1, plate.name);
            (file, plate.picture.file(&format!("{} Made by: {again}", plate.caption)))
        })
    };
    (0..comparison.workloads.len()).flat_map(of).collect()
}

const HOW_TO_READ: &str = "The middle of all rounds, and below it the least and the most. A ratio is taken \
    within a round; its spread over the rounds says what it is worth, and where every round agrees there is \
    a verdict.";

/// Style and script as they are, for HTML and for XML.
fn verbatim(text: &str) -> Markup {
    debug_assert!(!text.contains("]]>") && !text.contains("</"));
    PreEscaped(format!("/*<![CDATA[*/\n{text}/*]]>*/"))
}

fn headline(comparison: &Comparison) -> String {
    match &comparison.configurations[..] {
        [] => "Nothing to compare".to_string(),
        [one] => one.clone(),
        [first, others @ ..] => {
            let others: Vec<String> = others.iter().map(|name| units::shortened(name, 28)).collect();
            format!("{} against {}", units::shortened(first, 28), others.join(" and "))
        }
    }
}

fn reports(comparison: &Comparison) -> impl Iterator<Item = &Report> {
    comparison.runs.iter().flatten().flatten()
}

/// The command and the seed.
fn again(comparison: &Comparison) -> String {
    match reports(comparison).next() {
        Some(report) if !comparison.command.contains("--seed") => {
            format!("{} (seed {})", comparison.command, report.conditions.seed)
        }
        _ => comparison.command.clone(),
    }
}

fn lede(comparison: &Comparison, title: &str) -> Markup {
    let rounds = comparison.runs.first().map_or(0, Vec::len);
    let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    html! {
        h1 { (title) }
        p {
            (count(comparison.workloads.len(), "workload")) " on "
            (count(comparison.configurations.len(), "configuration")) ", "
            (count(rounds, "round")) " of each, in turns."
            @if let Some(report) = reports(comparison).next() { " " (conditions(report)) }
        }
        p { "The command that makes this again:" }
        code class="command" { (comparison.command) }
        ul class="key-list" {
            @for (at, name) in comparison.configurations.iter().enumerate() { li {
                span class={ "chip " (colour(at)) } {} (name)
                @if let Some(report) = comparison.runs.get(at).and_then(|rounds| rounds.first()?.first()) {
                    span class="soft" { ", durability " (report.conditions.durability) }
                }
            } }
        }
        nav aria-label="Workloads" { ul {
            @for (at, name) in comparison.workloads.iter().enumerate() {
                li { a href={ "#workload-" (at + 1) } { (name) } }
            }
        } }
    }
}

fn conditions(report: &Report) -> String {
    let Report { conditions, .. } = report;
    let how = match conditions.is_stepped {
        true => "in steps, on a disk in memory, without a clock".to_string(),
        false if conditions.threads == 1 => "1 thread".to_string(),
        false => format!("{} threads", conditions.threads),
    };
    format!(
        "{} keys of {} bytes with values of {} bytes; {how}; seed {}.",
        units::Unit::Count.tick(conditions.keys as f64),
        conditions.key_bytes,
        conditions.value_bytes,
        conditions.seed
    )
}

/// What the words mean: the same in every output, see [`crate::bench`].
const WORDS: [(&str, &str); 6] = [
    (
        "write amplification",
        "bytes written to files, for whatever cause, for each byte of the keys and values that the user set, \
         and of the keys that the user removed",
    ),
    (
        "read amplification",
        "bytes read from files, by calls or through maps, for each byte of the keys and values that the \
         user got",
    ),
    ("space amplification", "bytes of all files, for each byte of the keys and values that are there"),
    ("p99 latency", "what 99 calls in a hundred take at most, of the kind of call that is made most"),
    ("processor time", "time of the processor for a pair, of all threads, background included"),
    ("memory", "bytes that the engine says it keeps in memory, for each key that is there"),
];

fn words() -> Markup {
    html! {
        details {
            summary { "What the words mean" }
            dl { @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } } }
        }
    }
}

fn section(comparison: &Comparison, at: usize) -> Markup {
    let name = comparison.workloads.get(at).map_or("", |name| name);
    let sides = Side::all(comparison, at);
    let again = again(comparison);
    html! {
        section {
            h2 id={ "workload-" (at + 1) } { (name) }
            @if let Ok(workload) = Workload::named(name) { p class="soft" { (workload.about) "." } }
            div class="plots" {
                @for plate in figures::of(comparison, at) { (figure(&plate, &again)) }
            }
            @if let Some(latencies) = table::latencies(&sides) {
                h3 { "Latency by call" }
                (latencies)
                p class="soft" { small {
                    "Half of the calls took at most p50, 99 in a hundred at most p99; in the round in the \
                     middle. " code { (again) }
                } }
            }
        }
    }
}

fn figure(plate: &Plate, again: &str) -> Markup {
    html! {
        figure {
            (plate.picture.inline())
            figcaption {
                p { (plate.caption) }
                @if let Some(table) = &plate.table { details { summary { "In numbers" } (table) } }
                p class="again" { code { (again) } }
            }
        }
    }
}
