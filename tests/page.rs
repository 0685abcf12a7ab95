//! The page of a comparison: whole, well-formed, and safe from what users write.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kvs::bench::compare::{Comparison, interleave};
use kvs::bench::lab::{self, EngineBench, Plan};
use kvs::bench::page;
use kvs::bench::subject::Configuration;
use kvs::bench::workload::Workload;
use kvs::engine::options::Durability;
use roxmltree::{Document, ParsingOptions};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Stores small enough that a short run flushes, compacts and merges.
const SMALL: [(&str, &str); 3] = [
    ("bitcask", "segment_bytes=64KiB"),
    ("lsm", "memtable_bytes=32KiB;table_bytes=32KiB;level_bytes=128KiB;cache_bytes=64KiB"),
    ("memory", ""),
];

fn configuration((engine, settings): (&str, &str)) -> Configuration {
    let settings = settings.split(';').filter_map(|setting| setting.split_once('='));
    Configuration {
        engine: engine.parse().unwrap(),
        settings: settings.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        durability: Durability::Os,
    }
}

/// A comparison of the first `count` small stores, under the names that are given.
fn comparison(names: &[&str], workloads: &str, plan: &Plan, rounds: usize) -> Comparison {
    let workloads = workloads.split(' ').map(|name| Workload::named(name).unwrap()).collect();
    let plan = Plan { workloads, ..plan.clone() };
    let runs = interleave(names.len(), rounds, |at, _| {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = EngineBench::new(configuration(SMALL[at]), dir.path());
        lab::run(&mut bench, &plan, &mut |_, _| ControlFlow::Continue(()))
    });
    let names = names.iter().map(|name| name.to_string()).collect();
    Comparison::of(format!("kvs compare --keys {} <a> & \"b\"", plan.keys), names, runs.unwrap())
}

fn stepped(names: &[&str]) -> Comparison {
    let plan = Plan { keys: 3000, calls: 2000, is_stepped: true, ..Plan::default() };
    comparison(names, "fillrandom overwrite readrandom settle ycsb-e compact", &plan, 1)
}

fn parse(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap()
}

/// All text of a document, and of its attributes.
fn words(document: &Document<'_>) -> Vec<String> {
    let texts = document.descendants().filter_map(|node| node.is_text().then(|| node.text()).flatten());
    let attributes = document.descendants().flat_map(|node| node.attributes()).map(|each| each.value());
    texts.chain(attributes).map(str::to_string).collect()
}

fn count(document: &Document<'_>, tag: &str, class: &str) -> usize {
    let has = |node: &roxmltree::Node<'_, '_>| {
        node.has_tag_name(tag) && node.attribute("class").unwrap_or("").split(' ').any(|each| each == class)
    };
    document.descendants().filter(has).count()
}

#[test]
fn a_page_of_a_run_in_steps_is_whole() {
    let names = ["bitcask", "lsm:tiny=yes", "memory"];
    let comparison = stepped(&names);
    let text = page::html(&comparison);
    assert_eq!(text, page::html(&stepped(&names)), "the same seed makes the same page");
    for load in ["http:", "https:", "src=", "@import", "url(", "<link"] {
        assert!(!text.contains(load), "the page loads something: {load}");
    }
    let document = parse(&text);
    let words = words(&document);
    let says = |word: &str| words.iter().any(|each| each.contains(word));
    for name in names.iter().copied().chain(comparison.workloads.iter().map(String::as_str)) {
        assert!(words.iter().any(|each| each.trim() == name), "{name} is not named");
    }
    assert!(says(&comparison.command) && says("seed 1"), "how to make it again");
    let rows = document.descendants().filter(|node| node.attribute("data-workload").is_some());
    assert_eq!(rows.count(), comparison.rows.len());
    let medians = comparison.rows.iter().flat_map(|row| row.sides.iter().flatten());
    let values: BTreeSet<_> =
        document.descendants().filter_map(|node| node.attribute("data-value")).collect();
    for median in medians {
        assert!(values.contains(median.median.to_string().as_str()), "{}", median.median);
    }
    assert!(comparison.rows.iter().filter_map(|row| row.verdict.as_deref()).all(says));
    assert!(count(&document, "path", "area") > 0 && count(&document, "rect", "bar") > 0);
    assert!(says("WAL") && says("flush") && says("level 0") && says("dead") && says("keydir"));
    assert!(!says("throughput") && !says("p99 latency "), "there is no time in steps");
}

#[test]
fn a_page_of_a_timed_run_shows_time() {
    let plan = Plan { keys: 30_000, calls: 20_000, ..Plan::default() };
    let comparison = comparison(&["bitcask", "lsm"], "fillrandom readrandom", &plan, 3);
    let text = page::html(&comparison);
    let document = parse(&text);
    let words = words(&document);
    for title in ["fillrandom: throughput", "readrandom: latency", "fillrandom: write amplification"] {
        assert!(words.iter().any(|each| each == title), "{title}");
    }
    let drawn = |class| count(&document, "path", class) + count(&document, "circle", class);
    // Of three rounds two are faint; two configurations.
    assert!(drawn("faint") >= 4 * 2 && drawn("c1") > drawn("faint") / 2);
    assert!(words.iter().any(|each| each.ends_with(" k/s") || each.ends_with(" M/s")));
    assert_eq!(count(&document, "table", "latencies"), 2);
    let images = document.descendants().filter(|node| node.attribute("role") == Some("img"));
    assert_eq!(images.count(), page::plots(&comparison).len());
}

#[test]
fn what_users_write_stays_text() {
    let hostile = "\"><script>alert(1)</script><b x='&amp;\u{1b}[2J\0]]>";
    let mut comparison = stepped(&[hostile, "lsm"]);
    comparison.workloads[0] = format!("../<{hostile}");
    let text = page::html(&comparison);
    let document = parse(&text);
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("script")).count(), 1, "our own");
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("b")).count(), 0);
    let clean = hostile.replace(['\u{1b}', '\0'], "\u{fffd}");
    assert!(words(&document).contains(&clean));
    let plots = page::plots(&comparison);
    for (name, svg) in &plots {
        assert!(name.ends_with(".svg") && !name.contains(['/', '<', ' ']) && name.is_ascii(), "{name}");
        assert_eq!(parse(svg).descendants().filter(|node| node.has_tag_name("script")).count(), 0);
    }
    let names: BTreeSet<_> = plots.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), plots.len(), "no two files have the same name");
}

#[test]
fn nothing_to_show_is_a_page_too() {
    let none = Comparison::of("kvs compare".into(), Vec::new(), Vec::new());
    assert!(parse(&page::html(&none)).root_element().has_tag_name("html"));
    assert!(page::plots(&none).is_empty());
    // A run that ended before its first sample.
    let mut short = stepped(&["bitcask", "lsm"]);
    short.runs.iter_mut().flatten().flatten().for_each(|report| {
        report.samples.clear();
        report.ledger = None;
    });
    short.runs[1][0].pop();
    let text = page::html(&short);
    assert!(!text.contains("NaN") && parse(&text).root_element().has_tag_name("html"));
}
