//! Tables: the figures side by side, and the latencies of each call.

use crate::bench::compare::{Comparison, Row, Spread, distinct};
use crate::bench::page::figures::colour;
use crate::bench::page::series::Side;
use crate::bench::page::units::{Unit, shortened};
use maud::{Markup, PreEscaped, html};

/// The figures, row by row.
pub(super) fn figures(comparison: &Comparison) -> Markup {
    let names = &comparison.configurations;
    // What of them a verdict has room for; cut, two may be equal.
    let cut = distinct(names.iter().map(|name| shortened(name, LONG)).collect());
    let first = names.first().map_or("", |name| name);
    html! {
        div class="scroll" { table id="figures" class="figures" {
            thead { tr {
                th scope="col" { "workload" }
                th scope="col" { "figure" }
                @for (at, name) in names.iter().enumerate() {
                    th scope="col" class="number" { (named(at, name)) }
                }
                @for (at, name) in names.iter().enumerate().skip(1) {
                    th scope="col" class="number" { (brief(at, name)) " ÷ " (brief(0, first)) }
                }
                th scope="col" { "verdict" }
            } }
            tbody { @for (at, row) in comparison.rows.iter().enumerate() {
                @let before = at.checked_sub(1).map(|at| &comparison.rows[at].workload);
                (figure(row, &cut, before != Some(&row.workload)))
            } }
        } }
    }
}

/// A row; what a verdict calls the configurations; whether it is the first of its workload.
fn figure(row: &Row, names: &[String], begins: bool) -> Markup {
    let unit = Unit::of(row.figure);
    html! {
        tr class=[begins.then_some("begins")] data-workload=(row.workload) {
            td class="workload" { (row.workload) }
            td { (row.figure.name()) " " small { (row.unit.replace("us", "µs")) } }
            @for side in &row.sides { (spread(*side, unit, "number")) }
            @for ratio in &row.ratios {
                (spread(*ratio, Unit::Times, if ratio.is_some_and(|ratio| ratio.is_telling()) { "number tells" } else { "number" }))
            }
            td class="verdict" { (row.words(names).unwrap_or_default()) }
        }
    }
}

/// A configuration's colour and name, which may be broken between its options.
fn named(at: usize, name: &str) -> Markup {
    let (first, rest) = name.split_at(name.find([':', ',', ';']).map_or(name.len(), |at| at + 1));
    html! {
        span class="first" { span class={ "chip " (colour(at)) } {} (first) }
        @for part in rest.split_inclusive([',', ';']) { (PreEscaped("<wbr/>")) (part) }
    }
}

/// The same without the options of a long name: its colour says which it is.
fn brief(at: usize, name: &str) -> Markup {
    let engine = name.split(':').next().filter(|_| name.chars().count() > 16).unwrap_or(name);
    html! { span class="first" { span class={ "chip " (colour(at)) } {} (shortened(engine, 16)) } }
}

/// Letters of a name that a verdict has room for.
const LONG: usize = 28;

/// The middle, and below it the ends, if there are such.
fn spread(spread: Option<Spread>, unit: Unit, class: &str) -> Markup {
    let Some(Spread { median, least, most }) = spread else {
        return html! { td class=(class) { "–" } };
    };
    let [low, high] = [least, most].map(|number| unit.tell(number));
    let ends = (low != high).then(|| format!("{low} – {high}"));
    html! {
        td class=(class) data-value=(median) {
            (unit.tell(median))
            @if let Some(ends) = ends { small { (ends) } }
        }
    }
}

/// How long calls took, of each kind and each configuration; nothing if no call was timed.
pub(super) fn latencies(sides: &[Side<'_>]) -> Option<Markup> {
    let latencies = |side: &Side<'_>| !side.report().latencies.is_empty();
    if !sides.iter().any(latencies) {
        return None;
    }
    Some(html! {
        div class="scroll" { table class="latencies" {
            thead { tr {
                th scope="col" { "configuration" }
                th scope="col" { "call" }
                @for name in ["calls", "p50", "p90", "p99", "p99.9", "max"] {
                    th scope="col" class="number" { (name) }
                }
            } }
            tbody {
                @for side in sides { @for latency in &side.report().latencies { tr {
                    td { span class={ "chip " (colour(side.at)) } {} (side.name) }
                    td { (latency.call) }
                    td class="number" data-value=(latency.calls) { (Unit::Count.tell(latency.calls as f64)) }
                    @for us in
                        [latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us] {
                        td class="number" data-value=(us) { (Unit::Micros.tell(us)) }
                    }
                } } }
            }
        } }
    })
}
