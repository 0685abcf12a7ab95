//! What is done to the stores whose crashes are shown: one workload for each thing that an engine does.

use crate::dice::Dice;
use crate::engine::claim::FIRST_LOG;
use crate::engine::kind::EngineKind;
use crate::engine::options::Durability::{self, Always, Os};
use crate::survive::engine::Engine;
use crate::survive::error::{Error, Result};
use crate::survive::history::{Begin, CLOSING, History, STORE_ID, Setting, Workload};
use crate::survive::lives::replay;
use crate::survive::step::{Step, batch, compact_range, load, set};
use crate::vfs::memory::image::Image;
use crate::vfs::memory::recording::{Mark, Op};
use crate::worker::Schedule;
use std::path::Path;

/// All of them but the random ones.
pub fn fixed(engine: &Engine) -> Vec<Workload> {
    let both = [
        creation,
        singles,
        singles_durable,
        batches,
        pages,
        rotation,
        merge_behind,
        compact,
        reopening,
        reserving,
        manifest_replaced,
        checkpoint,
        migration,
        torn_tail,
        torn_edit,
        deleted_between_merges,
        values_that_look_like_records,
        flushes,
        loads,
        ranges,
        snapshots,
    ];
    let own: &[fn(&Engine) -> Workload] = match engine.kind {
        EngineKind::Bitcask => &[compact_without_hints, partial_merge],
        EngineKind::Lsm => &[levels, several_logs, unsynced],
        EngineKind::Memory => &[],
    };
    both.iter().chain(own).map(|workload| workload(engine)).collect()
}

/// The very first opening, three directories deep.
pub fn creation(engine: &Engine) -> Workload {
    let steps = vec![set("a", 20, Always), set("b", 20, Os), Step::Reopen, set("a", 30, Always)];
    let workload = Workload::new("creation", engine, steps);
    let setting = Setting { path: "/a/b/c".into(), ..workload.setting };
    Workload { setting, begin: Begin::Nothing, ..workload }
}

/// Single changes of each kind and durability.
pub fn singles(engine: &Engine) -> Workload {
    let mut steps = Vec::new();
    for n in 0..12 {
        let durability = if n % 4 == 3 { Always } else { Os };
        steps.push(set(&format!("k{}", n % 5), 40 * n, durability));
    }
    steps.extend([
        Step::Remove(b"k1".into()),
        Step::Remove(b"not there".into()),
        Step::Swap(b"k2".into(), Some(b"swapped".into())),
        Step::Swap(b"k3".into(), None),
        Step::Sync,
        set("", 0, Os),
        Step::Remove(b"".into()),
        Step::Swap(b"new".into(), Some(b"".into())),
        set("k4", 9, Always),
    ]);
    Workload::new("singles", &engine.unmerged(), steps)
}

/// As [`singles`], in a store that syncs each write.
pub fn singles_durable(engine: &Engine) -> Workload {
    let workload = singles(engine);
    let setting = Setting { durability: Always, ..workload.setting };
    Workload { name: "singles, durable".into(), setting, ..workload }
}

/// Batches of 1, 2 and 100 members, from a byte to three blocks, and larger than a segment.
pub fn batches(engine: &Engine) -> Workload {
    let hundred = |len: usize| -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        (0..100).map(|n| (format!("h{n:02}").into_bytes(), Some(vec![b'v'; len]))).collect()
    };
    let steps = vec![
        batch(&[("a", Some(1))], Os),
        batch(&[("a", Some(2)), ("b", Some(1))], Os),
        batch(&[("a", None), ("b", Some(700)), ("c", Some(0)), ("b", Some(7))], Os),
        Step::Write(hundred(1), Os),
        batch(&[("big", Some(3 * 4096)), ("bigger", Some(3 * 4096 + 1))], Always),
        batch(&[("c", Some(9)), ("h05", None)], Os),
        Step::Write(hundred(60), Os),
        batch(&[], Os),
        batch(&[("a", Some(5)), ("big", None)], Always),
    ];
    Workload::new("batches", &engine.unmerged(), steps)
}

/// Records of several pages, of which a later one may be on the device without an earlier one.
pub fn pages(engine: &Engine) -> Workload {
    let engine = engine.unmerged().with_log_bytes(64 << 10);
    let steps = vec![
        set("a", 9000, Os),
        set("b", 4096, Os),
        set("c", 13_000, Os),
        set("a", 10, Always),
        set("d", 12_288, Os),
        batch(&[("e", Some(5000)), ("f", Some(5000)), ("a", None)], Os),
        set("g", 10, Os),
    ];
    Workload::new("pages", &engine, steps)
}

/// Segments that fill up, with writes of both kinds.
pub fn rotation(engine: &Engine) -> Workload {
    let durability = |n| if n % 7 == 3 { Always } else { Os };
    let steps = (0..26).map(|n| set(&format!("k{n}"), 650, durability(n))).collect();
    Workload::new("rotation", &engine.unmerged(), steps)
}

/// Few keys that are overwritten, so that merges run behind.
pub fn merge_behind(engine: &Engine) -> Workload {
    let durability = |n| if n % 7 == 6 { Always } else { Os };
    let mut steps: Vec<_> = (0..36).map(|n| set(&format!("k{}", n % 5), 600 + n, durability(n))).collect();
    steps.push(Step::Remove(b"k1".into()));
    steps.extend((0..8).map(|n| set(&format!("m{}", n % 2), 900, Os)));
    Workload::new("merge behind", engine, steps)
}

/// Everything reclaimed on demand: tombstones dropped, keys that come back.
pub fn compact(engine: &Engine) -> Workload {
    let mut steps = Vec::new();
    for round in 0..3 {
        steps.extend((0..9).map(|n| set(&format!("k{n}"), 500 + round, Os)));
        steps.push(Step::Remove(format!("k{round}").into_bytes()));
        steps.push(Step::Remove(b"k8".into()));
        steps.push(Step::Compact);
        steps.push(set("k0", 40, if round == 1 { Always } else { Os }));
    }
    steps.extend([Step::Reopen, batch(&[("k0", None), ("k2", None), ("k5", None)], Os), Step::Compact]);
    Workload::new("compact", &engine.unmerged(), steps)
}

/// Without hints, and with outputs that fill several segments.
pub fn compact_without_hints(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..24).map(|n| set(&format!("k{}", n % 16), 700, Os)).collect();
    steps.extend([Step::Compact, set("k3", 10, Always), Step::Compact]);
    Workload::new("compact without hints", &engine.unmerged().with("hints", "false"), steps)
}

/// A merge of the newer segments alone, whose tombstones must stay: the oldest holds the values.
pub fn partial_merge(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..5).map(|n| set(&format!("old{n}"), 700, Os)).collect();
    // Begins the second file: the tombstone must not stand beside its value.
    steps.extend([set("hot", 699, Os), Step::Remove(b"old0".into())]);
    steps.extend((0..12).map(|n| set("hot", 700 + n, Os)));
    steps.extend([set("cold", 30, Always), Step::Reopen]);
    steps.extend((0..6).map(|n| set("hot", 650 + n, Os)));
    Workload::new("partial merge", engine, steps)
}

/// Closing and opening again and again, with hints for what was sealed.
pub fn reopening(engine: &Engine) -> Workload {
    let mut steps = Vec::new();
    for round in 0..4 {
        steps.extend((0..5).map(|n| set(&format!("k{}", (n + round) % 7), 400, Os)));
        steps.push(Step::Remove(format!("k{round}").into_bytes()));
        steps.push(Step::Reopen);
        steps.push(set("small", round + 1, if round == 2 { Always } else { Os }));
        steps.push(Step::Reopen);
    }
    Workload::new("reopening", &engine.unmerged(), steps)
}

/// Syncs enough for space to be reserved ahead.
pub fn reserving(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..11).map(|n| set(&format!("k{n}"), 30, Always)).collect();
    steps.extend([set("os", 40, Os), set("os", 50, Os), set("end", 5, Always)]);
    steps.extend([set("full", 3000, Os), set("next", 900, Always)]);
    Workload::new("reserving", &engine.unmerged(), steps)
}

/// So many edits that the manifest is replaced. One key is overwritten, so that merges keep the
/// number of files small while edits grow.
pub fn manifest_replaced(engine: &Engine) -> Workload {
    let overwrite = |from: usize, to: usize| (from..to).map(|n| set("k", 3000 + n, Os));
    let mut steps: Vec<_> = overwrite(300, 305).collect();
    steps.insert(3, set("other", 5, Always));
    let begin = Begin::ShortOfAReplacement(overwrite(0, 300).collect());
    Workload { begin, ..Workload::new("manifest replaced", engine, steps) }
}

/// A store of the other engine, made of this one, while this one goes on.
pub fn migration(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..9).map(|n| set(&format!("k{}", n % 6), 500, Os)).collect();
    steps.extend([
        Step::Remove(b"k2".into()),
        Step::Migrate("/moved".into()),
        set("k1", 10, Os),
        set("k3", 10, Always),
    ]);
    Workload::new("migration", &engine.unmerged(), steps)
}

/// A second store, equal to the first.
pub fn checkpoint(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..12).map(|n| set(&format!("k{}", n % 8), 600, Os)).collect();
    steps.extend([
        Step::Checkpoint("/backups/monday".into()),
        set("k1", 10, Os),
        Step::Remove(b"k2".into()),
        Step::Compact,
        Step::Checkpoint("/backups/tuesday".into()),
        set("k3", 10, Always),
    ]);
    Workload::new("checkpoint", &engine.unmerged(), steps)
}

/// Goes on behind a tail of which a later record is there and an earlier one is not. The first new
/// record has exactly the length of the one that is not there: it says in two bytes how much is durable,
/// and its value is so much shorter.
pub fn torn_tail(engine: &Engine) -> Workload {
    let steps = vec![set("n", 98, Os), set("m", 100, Os), set("k", 7, Always), Step::Reopen, set("n", 3, Os)];
    let begin = Begin::Left(hole_before_a_record);
    Workload { begin, ..Workload::new("torn tail", &engine.unmerged(), steps) }
}

/// Three records, of which the second is zeros.
///
/// # Errors
/// What the store can fail with.
pub fn hole_before_a_record(engine: &Engine) -> Result<Image> {
    let steps = ["a", "b", "c"].map(|key| set(key, 100, Os)).to_vec();
    let history = Workload::new("", &engine.unmerged(), steps).record()?;
    let ops = history.recording.ops();
    let writes: Vec<usize> = (0..ops.len()).filter(|&at| matches!(ops[at], Op::Append { .. })).collect();
    let [_, second, third, ..] = writes[..] else { return Err(cannot_be_left("three records", engine)) };
    let mut image = left_by(&history, third + 1)?;
    let Op::Append { file, offset, bytes } = &ops[second] else { unreachable!("chosen so") };
    let log = history.recording.first_name(*file).expect("it was created, or was there");
    image.edit(log)[*offset as usize..][..bytes.len()].fill(0);
    Ok(image)
}

/// Goes on with a manifest whose last edit is cut.
pub fn torn_edit(engine: &Engine) -> Workload {
    let steps = (0..12).map(|n| set(&format!("n{n}"), 700, if n % 5 == 4 { Always } else { Os })).collect();
    Workload { begin: Begin::Left(edit_in_part), ..Workload::new("torn edit", &engine.unmerged(), steps) }
}

/// A manifest whose last edit is cut.
fn edit_in_part(engine: &Engine) -> Result<Image> {
    let steps = (0..7).map(|n| set(&format!("k{n}"), 700, Os)).collect();
    let history = Workload::new("", &engine.unmerged(), steps).record()?;
    let recording = &history.recording;
    let is_manifest = |file| recording.first_name(file).is_some_and(|name| name.ends_with("MANIFEST"));
    let is_edit = |op: &Op| matches!(op, Op::Append { file, .. } if is_manifest(*file));
    let edit = recording.ops().iter().position(is_edit);
    let edit = edit.ok_or_else(|| cannot_be_left("an edit", engine))?;
    let mut image = left_by(&history, edit + 1)?;
    let manifest = Path::new(&history.setting.path).join("MANIFEST");
    let len = image.get(&manifest).map_or(0, <[u8]>::len);
    image.cut(&manifest, len.saturating_sub(20));
    Ok(image)
}

/// What is on the disk when so many operations of a history are done.
fn left_by(history: &History, ops: usize) -> Result<Image> {
    let disk = replay(&history.recording, &history.recording.ops()[..ops]);
    Ok(disk.map_err(|error| Error::Wrong(format!("the recording can not be done again: {error}")))?.image())
}

fn cannot_be_left(what: &str, engine: &Engine) -> Error {
    Error::Plan(format!("{engine}: with these options no crash leaves {what}"))
}

/// Set, merged, deleted, merged: what is deleted must stay so, and what comes back must be new.
pub fn deleted_between_merges(engine: &Engine) -> Workload {
    let mut steps = vec![set("k", 700, Os), set("other", 700, Os), set("k", 600, Os), Step::Compact];
    steps.extend([Step::Remove(b"k".into()), set("other", 10, Os), Step::Compact, Step::Reopen]);
    steps.extend([set("k", 30, Os), Step::Compact, Step::Swap(b"k".into(), None), Step::Compact]);
    Workload::new("deleted between merges", &engine.unmerged(), steps)
}

/// Values that hold a log: its header, and records that would be valid just where they stand.
pub fn values_that_look_like_records(engine: &Engine) -> Workload {
    let steps = vec![
        Step::Write(vec![(b"a".into(), Some(a_log(engine, 32, 3000)))], Os),
        Step::Write(vec![(b"b".into(), Some(a_log(engine, 32 + 3000, 9000)))], Os),
        set("c", 10, Os),
        Step::Write(
            vec![
                (b"d".into(), Some(a_log(engine, 32 + 12_000, 600))),
                (b"e".into(), Some(a_log(engine, 0, 99))),
            ],
            Always,
        ),
    ];
    Workload::new("values that look like records", &engine.unmerged().with_log_bytes(64 << 10), steps)
}

/// What is in memory or in the log goes to files that do not change, again and again.
pub fn flushes(engine: &Engine) -> Workload {
    let mut steps = Vec::new();
    for round in 0..5 {
        steps.extend((0..4).map(|n| set(&format!("k{}", (n + round) % 6), 90 * n + 10, Os)));
        steps.push(batch(&[("k1", None), ("b", Some(round)), ("k0", Some(300))], Os));
        steps.push(Step::Flush);
    }
    steps.extend([Step::Flush, set("k2", 5, Always), Step::Flush, Step::Reopen, Step::Flush]);
    Workload::new("flushes", &engine.unmerged(), steps)
}

/// Sorted pairs among writes: beside all others, on top of some, between some.
pub fn loads(engine: &Engine) -> Workload {
    let steps = vec![
        load(&[("a", 700), ("b", 900), ("c", 1200)]),
        set("m", 300, Os),
        set("b", 30, Os),
        load(&[("b", 5), ("c", 600), ("d", 2000), ("e", 900)]),
        Step::Remove(b"c".into()),
        load(&[]),
        load(&[("x", 10)]),
        set("x", 20, Os),
        Step::Compact,
        load(&[("bb", 800), ("m", 900), ("z", 10)]),
        set("z", 9, Always),
    ];
    Workload::new("loads", engine, steps)
}

/// Compactions of some keys only.
pub fn ranges(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..20).map(|n| set(&format!("k{n:02}"), 500, Os)).collect();
    steps.extend((4..9).map(|n| Step::Remove(format!("k{n:02}").into_bytes())));
    steps.push(compact_range("k03", "k07"));
    steps.extend((0..8).map(|n| set(&format!("k{:02}", 2 * n), 400 + n, if n == 5 { Always } else { Os })));
    steps.extend([compact_range("k08", "k12"), compact_range("x", "z"), set("k05", 40, Os)]);
    Workload::new("ranges", engine, steps)
}

/// Snapshots that are held while what they see is replaced, and rewritten.
pub fn snapshots(engine: &Engine) -> Workload {
    let overwrite = |round: usize| (0..5).map(move |n| set(&format!("k{n}"), 300 + 40 * round, Os));
    let mut steps: Vec<_> = overwrite(0).collect();
    for round in 1..4 {
        steps.push(Step::Hold);
        steps.extend(overwrite(round));
        steps.push(Step::Remove(format!("k{round}").into_bytes()));
        steps.push(if round == 2 { Step::Compact } else { Step::Flush });
    }
    steps.extend([
        Step::Release,
        Step::Compact,
        Step::Release,
        set("k0", 10, Always),
        Step::Release,
        Step::Compact,
    ]);
    Workload::new("snapshots", engine, steps)
}

/// So much in tiny tables that it goes down through several levels.
pub fn levels(engine: &Engine) -> Workload {
    let key = |n: usize| format!("k{:02}", n * 17 % 41);
    let fill = |from: usize, to: usize| (from..to).map(move |n| set(&key(n), 350 + n, Os));
    let mut steps: Vec<_> = fill(90, 130).collect();
    steps.insert(7, Step::Remove(key(3).into_bytes()));
    steps.insert(21, batch(&[("k00", None), ("k01", None), ("k40", Some(3))], Always));
    Workload { begin: Begin::Prepared(fill(0, 90).collect()), ..Workload::new("levels", engine, steps) }
}

/// Goes on with several logs that nobody had flushed.
pub fn several_logs(engine: &Engine) -> Workload {
    let steps = vec![set("k3", 10, Os), set("new", 900, Always), Step::Remove(b"k4".into()), Step::Reopen];
    Workload { begin: Begin::Left(unflushed), ..Workload::new("several logs", engine, steps) }
}

/// A store that was killed when nobody had flushed for long.
///
/// # Errors
/// What the store can fail with.
pub fn unflushed(engine: &Engine) -> Result<Image> {
    let steps = (0..22).map(|n| set(&format!("k{}", n % 8), 650 + n, Os)).collect();
    let workload = Workload::new("", engine, steps);
    let setting = Setting { schedule: Schedule::Manual, ..workload.setting.clone() };
    let history = Workload { setting, ..workload }.record()?;
    let closing = |op: &Op| matches!(op, Op::Mark(Mark::Note(note)) if note == CLOSING);
    let killed = history.recording.ops().iter().rposition(closing);
    let image = left_by(&history, killed.expect("a history ends with closing"))?;
    match image.files.keys().filter(|path| engine.is_log(path)).count() {
        4.. => Ok(image),
        _ => Err(cannot_be_left("four logs", engine)),
    }
}

/// Much that the device may have or not, in any order.
pub fn unsynced(engine: &Engine) -> Workload {
    let mut steps: Vec<_> = (0..24).map(|n| set(&format!("k{}", n % 7), 20 + 70 * (n % 5), Os)).collect();
    steps.insert(9, Step::Remove(b"k1".into()));
    steps.insert(17, batch(&[("k2", None), ("k3", Some(5000)), ("k4", Some(1))], Os));
    Workload::new("unsynced", &engine.with_log_bytes(64 << 10), steps)
}

/// `len` bytes of a log that is called as the first log of a store here, from about `offset` on:
/// records for each place that they could come to stand at.
fn a_log(engine: &Engine, offset: u64, len: usize) -> Vec<u8> {
    let header = engine.log_header(STORE_ID, FIRST_LOG);
    let (mut bytes, mut at) = (header.encode().to_vec(), offset);
    while bytes.len() < len {
        engine.put_record(&mut bytes, &header, at, 1000, b"evil");
        at += 1;
    }
    bytes.truncate(len);
    bytes
}

/// Anything, from a seed.
pub fn random(engine: &Engine, seed: u64) -> Workload {
    let mut dice = Dice::new(seed);
    let random = &mut dice;
    let engine = match engine.kind {
        EngineKind::Bitcask => engine
            .with("segment_bytes", ["4KiB", "4KiB", "8KiB"][below(random, 3)])
            .with("merge_garbage_ratio", ["0.3", "0.5", "1"][below(random, 3)])
            .with("hints", ["false", "true", "true", "true"][below(random, 4)]),
        EngineKind::Lsm => engine
            .with("memtable_bytes", ["4KiB", "4KiB", "8KiB"][below(random, 3)])
            .with("level0_tables", ["1", "2", "6"][below(random, 3)])
            .with("table_bytes", ["1KiB", "2KiB", "64KiB"][below(random, 3)])
            .with("level_bytes", ["1KiB", "8KiB", "64KiB"][below(random, 3)])
            .with("compression", ["none", "lz4", "zstd"][below(random, 3)]),
        EngineKind::Memory => engine.clone(),
    };
    let durability = [Os, Os, Always][below(random, 3)];
    let steps = (0..40).map(|_| random_step(random)).collect();
    let workload = Workload::new(&format!("random {seed}"), &engine, steps);
    let begin = if below(random, 8) == 0 { Begin::Nothing } else { workload.begin.clone() };
    Workload { setting: Setting { durability, ..workload.setting.clone() }, begin, ..workload }
}

fn below(random: &mut Dice, n: u64) -> usize {
    random.below(n) as usize
}

fn random_step(random: &mut Dice) -> Step {
    let key = |random: &mut Dice| format!("k{}", below(random, 9));
    let len = |random: &mut Dice| [3, 60, 500, 900, 1500, 5000][below(random, 6)];
    let durability = |random: &mut Dice| -> Durability { [Os, Os, Os, Always][below(random, 4)] };
    match below(random, 24) {
        20 => Step::Flush,
        21 => load(&[("k1", len(random)), ("k4", len(random)), ("m", len(random))]),
        22 => compact_range("k2", "k6"),
        23 => Step::Hold,
        0..10 => set(&key(random), len(random), durability(random)),
        10..12 => Step::Remove(key(random).into()),
        12 => Step::Swap(key(random).into(), (below(random, 3) > 0).then(|| vec![b's'; len(random)])),
        13..16 => {
            let members: Vec<_> = (0..1 + below(random, 6))
                .map(|_| (key(random), (below(random, 4) > 0).then(|| len(random) / 2)))
                .collect();
            let members: Vec<_> = members.iter().map(|(key, len)| (&key[..], *len)).collect();
            batch(&members, durability(random))
        }
        16 => Step::Sync,
        17 => Step::Compact,
        _ => Step::Reopen,
    }
}
