//! Random histories, held against the model: whatever is done to an engine, it says what a sorted map
//! in memory says.
//!
//! A history that fails is shrunk and printed as a script; put it into `tests/scripts/` under the name
//! of what it found. `KVS_MODEL_CASES` is how many histories each test runs, `KVS_MODEL_SEED` where
//! they begin; the same seed makes the same histories.

#[macro_use]
mod common;

use common::buggy::{Forgetful, Wrapped};
use common::engines::{BITCASK, BITCASK_OS, LSM, LSM_OS, MEMORY, METERED, Setup, Store};
use kvs::engine::kind::EngineKind;
use kvs::engine::memory::Memory;
use kvs::engine::range::{Direction, KeyRange};
use kvs::survive::script::session::Session;
use kvs::survive::script::{Ack, Command, Look, Move, Settings, Step};
use kvs::survive::torture::history::knobs;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::ops::Bound;
use std::sync::Arc;

const CASES: u32 = 500;
const SEED: u64 = 1;

/// What is done to a store, and how the store is set up.
#[derive(Clone, Debug)]
struct History {
    settings: Settings,
    commands: Vec<Command>,
}

fn settings(kind: EngineKind) -> impl Strategy<Value = Settings> {
    let knobs = knobs(kind).iter().map(|(name, values)| {
        let value = option::weighted(0.7, select(*values));
        value.prop_map(|value| value.map(|value| ((*name).to_string(), value.to_string())))
    });
    knobs.collect::<Vec<_>>().prop_map(|settings| settings.into_iter().flatten().collect())
}

/// Few keys, so that they meet often; some begin alike, some are odd.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let odd: [&[u8]; 6] = [b"", b"a\0", b"aa", b"ab", b"\xff", b"\xff\xff"];
    let odd: Vec<_> = odd.iter().map(|key| key.to_vec()).collect();
    let cold = (0..COLD).prop_map(cold_key);
    prop_oneof![8 => (b'a'..=b'h').prop_map(|byte| vec![byte]), 3 => select(odd), 1 => cold]
}

/// Keys that are written at the beginning and seldom touched: they keep old files from being all
/// garbage, so that merges have something to leave alone.
const COLD: usize = 60;

fn cold_key(i: usize) -> Vec<u8> {
    format!("c{i:02}").into_bytes()
}

fn cold_start() -> impl Strategy<Value = Option<Command>> {
    let batch = (60..300usize).prop_map(|len| {
        let value = |i: usize| [b'A' + (i % 26) as u8, b'0' + (i / 26) as u8].repeat(len / 2);
        Command::Batch(Ack::Usual, (0..COLD).map(|i| Step::Set(cold_key(i), value(i))).collect())
    });
    option::of(batch)
}

/// From nothing to more than a segment or a memtable holds; two letters tell values apart.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![2 => Just(0), 10 => 1..4usize, 3 => 50..80usize, 2 => 1000..3000usize, 1 => 9000..40_000usize];
    ((b'a'..=b'z'), (b'a'..=b'z'), len).prop_map(|(one, two, len)| [one, two].repeat(len))
}

fn range() -> impl Strategy<Value = KeyRange> {
    let bound = || {
        prop_oneof![
            2 => Just(Bound::Unbounded),
            2 => key().prop_map(Bound::Included),
            1 => key().prop_map(Bound::Excluded),
        ]
    };
    (bound(), bound()).prop_map(|(start, end)| KeyRange { start, end, direction: Direction::Forward })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (key(), value()).prop_map(|(key, value)| Step::Set(key, value)),
        1 => key().prop_map(Step::Remove),
    ]
}

fn cursor_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        4 => Just(Move::Next),
        4 => Just(Move::Prev),
        3 => key().prop_map(Move::Seek),
        2 => step().prop_map(Move::Write),
        1 => Just(Move::Compact),
    ]
}

fn name() -> impl Strategy<Value = String> {
    select(vec!["s", "t", "u"]).prop_map(str::to_string)
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        4 => key().prop_map(Look::Get),
        2 => range().prop_map(Look::Scan),
        2 => range().prop_map(|range| Look::Scan(range.reverse())),
        2 => (range(), vec(cursor_move(), 1..10)).prop_map(|(range, moves)| Look::Walk(range, moves)),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        10 => (key(), value()).prop_map(|(key, value)| Command::Set(Ack::Usual, key, value)),
        4 => key().prop_map(|key| Command::Remove(Ack::Usual, key)),
        3 => (key(), option::of(value())).prop_map(|(key, value)| Command::Swap(key, value)),
        5 => vec(step(), 0..6).prop_map(|steps| Command::Batch(Ack::Usual, steps)),
        8 => (option::weighted(0.4, name()), look()).prop_map(|(name, look)| Command::Look(name, look)),
        3 => name().prop_map(Command::Snapshot),
        1 => name().prop_map(Command::Drop),
        2 => Just(Command::Compact(KeyRange::all())),
        1 => Just(Command::Sync),
        2 => Just(Command::Reopen),
        1 => Just(Command::StatsKeys),
    ]
}

fn history(kind: EngineKind) -> impl Strategy<Value = History> {
    let commands = vec(command(), 1..150);
    (settings(kind), cold_start(), commands).prop_map(|(settings, cold, commands)| History {
        settings,
        commands: cold.into_iter().chain(commands).collect(),
    })
}

/// What every history ends with: everything, both ways, before and after opening again.
fn finale() -> Vec<Command> {
    let everything = [
        Command::StatsKeys,
        Command::Look(None, Look::Scan(KeyRange::all())),
        Command::Look(None, Look::Scan(KeyRange::all().reverse())),
    ];
    let again = [Command::Reopen, Command::Compact(KeyRange::all()), Command::Reopen];
    everything.iter().chain(&again).chain(&everything).cloned().collect()
}

/// The first difference between the engine and the model.
fn disagreement(store: Store, commands: &[Command]) -> Option<String> {
    // How many keys it has, an LSM tree can only estimate.
    let is_said = |command: &&Command| store.kind() != EngineKind::Lsm || **command != Command::StatsKeys;
    let finale = finale();
    let commands: Vec<_> = commands.iter().chain(&finale).filter(is_said).collect();
    let (mut engine, mut model) = (Session::new(store), Session::new(Store::new(&MEMORY)));
    for command in commands {
        let (said, expected) = (engine.run(command), model.run(command));
        if said != expected {
            return Some(format!("{command}\n  expected: {expected:?}\n  said:     {said:?}"));
        }
    }
    None
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: a number")))
}

/// Runs histories until one fails; returns it, as short as it gets, and what is wrong.
fn search(kind: EngineKind, cases: u32, store: impl Fn(&Settings) -> Store) -> Option<(History, String)> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: number("KVS_MODEL_SHRINK", 5000) as u32,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("KVS_MODEL_SEED", SEED).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let outcome = TestRunner::new_with_rng(config, rng).run(&history(kind), |history| {
        match disagreement(store(&history.settings), &history.commands) {
            None => Ok(()),
            Some(difference) => Err(TestCaseError::fail(difference)),
        }
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, history)) => Some((history, reason.to_string())),
        Err(TestError::Abort(reason)) => panic!("no histories: {reason}"),
    }
}

/// The history as a script, with what the model says.
fn script(setup: &Setup, history: &History) -> String {
    let mut model = Session::new(Store::new(&MEMORY));
    let options: Vec<_> = history.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = format!("engines: {}\noptions: {}\n", setup.name, options.join(" "));
    for command in &history.commands {
        let said = model.run(command);
        let said = if said.is_empty() { "ok".to_string() } else { said.join("\n") };
        text += &format!("\n{command}\n---\n{said}\n");
    }
    text
}

/// Fails with a script if any history tells the engine from the model.
fn agrees_with_the_model(setup: &Setup, cases: u32) {
    let cases = number("KVS_MODEL_CASES", cases.into()) as u32;
    let store = |settings: &Settings| Store::with_settings(setup, settings);
    if let Some((history, reason)) = search(setup.kind, cases, store) {
        let seed = number("KVS_MODEL_SEED", SEED);
        panic!("seed {seed}, {}: {reason}\n\nas a script:\n\n{}", setup.name, script(setup, &history));
    }
}

#[test]
fn metered_agrees_with_the_model() {
    agrees_with_the_model(&METERED, CASES);
}

#[test]
fn s12_bitcask_agrees_with_the_model() {
    agrees_with_the_model(&BITCASK, CASES);
}

#[test]
fn s12_lsm_agrees_with_the_model() {
    agrees_with_the_model(&LSM, CASES);
}

/// On a real disk, with flushes and compactions on threads.
#[test]
fn lsm_os_agrees_with_the_model() {
    agrees_with_the_model(&LSM_OS, CASES / 10);
}

/// On a real disk, with its merges on a thread.
#[test]
fn bitcask_os_agrees_with_the_model() {
    agrees_with_the_model(&BITCASK_OS, CASES / 10);
}

/// The search must be able to find something, and to say it in few words.
#[test]
fn a_planted_bug_is_found_and_shrunk() {
    let found = search(EngineKind::Memory, 1000, |_| {
        Store::around(Arc::new(Wrapped(Forgetful(Arc::new(Memory::new())))))
    });
    let (history, reason) = found.expect("the bug is found");
    let shortest = script(&MEMORY, &history);
    assert!(history.commands.len() <= 2, "{reason}\n{shortest}");
    assert!(shortest.contains("batch\n  set "), "{shortest}");
}
