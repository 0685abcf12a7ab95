//! Which plots a workload has, and what is said of each.

use crate::bench::compare::Comparison;
use crate::bench::page::areas::{self, Areas, Reach};
use crate::bench::page::bars::{self, Bars};
use crate::bench::page::ledger::{self, Way};
use crate::bench::page::lines::{self, Axes, Line};
use crate::bench::page::plot::{Key, Picture};
use crate::bench::page::series::{self, Along, Share, Side};
use crate::bench::page::units::Unit;
use crate::bench::report::{Report, Sample};
use maud::Markup;

/// A plot with what is said of it.
#[derive(Clone, Debug)]
pub(super) struct Plate {
    /// What its file is called, without the ending.
    pub(super) name: String,
    /// The plot.
    pub(super) picture: Picture,
    /// What it shows, and how to read it.
    pub(super) caption: String,
    /// The same in numbers.
    pub(super) table: Option<Markup>,
}

impl Plate {
    fn new(name: &str, picture: Picture, caption: impl Into<String>) -> Plate {
        Plate { name: name.to_string(), picture, caption: caption.into(), table: None }
    }
}

/// Colours of configurations and of parts, before they begin anew.
const COLOURS: usize = 7;

/// The class of the n-th colour.
pub(super) fn colour(at: usize) -> String {
    match at / COLOURS {
        0 => format!("c{at}"),
        _ => format!("c{} again", at % COLOURS),
    }
}

/// All plots of the workload with a number, in the order in which they are shown.
pub(super) fn of(comparison: &Comparison, workload: usize) -> Vec<Plate> {
    let sides = Side::all(comparison, workload);
    let name = comparison.workloads.get(workload).map_or("", |name| name);
    let topic = Topic { name, is_timed: sides.iter().any(Side::is_timed), sides };
    let mut plates = Vec::new();
    if topic.is_timed {
        plates.extend(topic.throughput());
        plates.extend(topic.latency());
    }
    plates.extend(topic.ledger(Way::Written));
    plates.extend(topic.ledger(Way::Read));
    plates.extend(topic.shapes());
    plates.extend(topic.amplification(Way::Written));
    plates.extend(topic.amplification(Way::Read));
    plates.extend(topic.memory());
    plates.extend(topic.memory_parts());
    plates
}

/// A workload, and who ran it.
struct Topic<'a> {
    name: &'a str,
    is_timed: bool,
    sides: Vec<Side<'a>>,
}

impl Topic<'_> {
    fn title(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }

    /// What is said of lines.
    fn rounds(&self) -> &'static str {
        match self.sides.iter().any(|side| side.others().next().is_some()) {
            true => "one colour a configuration, the round in the middle strong and the others faint",
            false => "one colour a configuration",
        }
    }

    /// Time where it was taken, else pairs.
    fn along(&self) -> (Along, (&'static str, Unit)) {
        match self.is_timed {
            true => (Along::Time, ("time", Unit::Seconds)),
            false => (Along::Pairs, ("pairs", Unit::Count)),
        }
    }

    fn lines(&self, points: impl Fn(&Report) -> lines::Points) -> Vec<Line> {
        let line = |side: &Side<'_>| Line {
            key: Key { class: colour(side.at), name: side.name.to_string() },
            strong: points(side.report()),
            faint: side.others().map(&points).collect(),
        };
        self.sides.iter().map(line).collect()
    }

    fn throughput(&self) -> Option<Plate> {
        let rate = |sample: &Sample| Some(sample.pairs_per_second);
        let lines =
            self.lines(|report| series::points(&series::steady(report), Along::Time, Share::Mean, rate));
        let axes = Axes { x: ("time", Unit::Seconds), y: ("pairs a second", Unit::Rate), may_be_log: false };
        let picture = lines::draw(self.title("throughput"), axes, &lines)?;
        let caption = format!(
            "Pairs a second while it ran, {}: higher is better, and a dip is a wait for the background.",
            self.rounds()
        );
        Some(Plate::new("throughput", picture, caption))
    }

    fn latency(&self) -> Option<Plate> {
        let p99 = |sample: &Sample| (sample.p99_us > 0.0).then_some(sample.p99_us);
        let lines =
            self.lines(|report| series::points(&series::steady(report), Along::Time, Share::Most, p99));
        let axes = Axes { x: ("time", Unit::Seconds), y: ("p99 of a call", Unit::Micros), may_be_log: true };
        let picture = lines::draw(self.title("latency"), axes, &lines)?;
        let caption = format!(
            "What 99 in a hundred of the calls since the last sample took at most, all kinds of calls \
             together, {}: lower is better, and a peak is a stall.",
            self.rounds()
        );
        Some(Plate::new("latency", picture, caption))
    }

    fn ledger(&self, way: Way) -> Option<Plate> {
        let ledger = ledger::of(&self.sides, way);
        let picture = bars::draw(self.title(ledger.title), ledger.axis, ledger.unit, &ledger.bars)?;
        let table = ledger.bars.table(ledger.unit);
        let plate = Plate::new(way.name(), picture, ledger.caption);
        Some(Plate { table: Some(table), ..plate })
    }

    /// Nothing where nobody wrote: the files stay what they were.
    fn shapes(&self) -> Vec<Plate> {
        let (along, x) = self.along();
        let axes = Axes { x, y: ("bytes of files", Unit::Bytes), may_be_log: false };
        let changes = |side: &Side<'_>| {
            let wrote = side.report().ledger.as_ref().is_some_and(|ledger| ledger.total.written_bytes > 0);
            wrote || side.report().writes()
        };
        if !self.sides.iter().any(changes) {
            return Vec::new();
        }
        let all: Vec<_> = self.sides.iter().map(|side| (side, shape(side.report(), along))).collect();
        let Some(reach) = Reach::of(all.iter().map(|(_, areas)| areas)) else { return Vec::new() };
        let plate = |(side, areas): &(&Side<'_>, Areas)| {
            let (what, caption) = kind(areas);
            let picture = areas::draw(self.title(what), side.name, axes, areas, reach)?;
            let caption = format!("{caption} {ALL_FILES}");
            Some(Plate::new(&format!("files-{}", side.at + 1), picture, caption))
        };
        all.iter().filter_map(plate).collect()
    }

    fn amplification(&self, way: Way) -> Option<Plate> {
        let lines = self.lines(|report| {
            series::points(report, Along::Pairs, Share::Last, |sample| way.amplification(sample))
        });
        let axes = Axes {
            x: ("pairs", Unit::Count),
            y: ("bytes of files a byte of the user's, so far", Unit::Times),
            may_be_log: true,
        };
        let what = format!("{} amplification", way.verb());
        let picture = lines::draw(self.title(&what), axes, &lines)?;
        let caption = format!(
            "Bytes {} so far for each byte that the user {} so far, against pairs, {}: lower is \
             better, and where a line rises the background does more than it did before.",
            way.disk(),
            way.user(),
            self.rounds()
        );
        Some(Plate::new(&format!("{}-amplification", way.verb()), picture, caption))
    }

    fn memory(&self) -> Option<Plate> {
        let (along, x) = self.along();
        let bytes = |sample: &Sample| Some(sample.memory_bytes as f64);
        let lines = self.lines(|report| series::points(report, along, Share::Last, bytes));
        let axes = Axes { x, y: ("bytes that the engine keeps", Unit::Bytes), may_be_log: false };
        let picture = lines::draw(self.title("memory"), axes, &lines)?;
        let caption = format!(
            "What the engine says that it keeps in memory, {}: Bitcask's grows with its keys, an LSM \
             tree's with its memtables and its cache, and falls when a memtable has been flushed.",
            self.rounds()
        );
        Some(Plate::new("memory", picture, caption))
    }

    fn memory_parts(&self) -> Option<Plate> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.sides.iter().flat_map(|side| &side.report().memory.parts) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let bar = |side: &Side<'_>| (side.name.to_string(), Some(Vec::new()));
        let mut bars = Bars { keys: Vec::new(), bars: self.sides.iter().map(bar).collect() };
        for (at, name) in names.into_iter().enumerate() {
            let of = |side: &Side<'_>| {
                let part = side.report().memory.parts.iter().find(|(part, _)| part == name);
                part.map(|(_, bytes)| *bytes as f64)
            };
            // Not the colours of the first configurations.
            let key = Key { class: colour(at + 2), name: name.to_string() };
            bars.add(key, self.sides.iter().map(of).collect());
        }
        let picture =
            bars::draw(self.title("memory at the end"), "bytes that the engine keeps", Unit::Bytes, &bars)?;
        let caption = "Of what the engine's memory is at the end, in the round in the middle: a bar is a \
                       configuration, a colour a part.";
        let table = Some(bars.table(Unit::Bytes));
        Some(Plate { table, ..Plate::new("memory-parts", picture, caption) })
    }
}

/// What the layers are, and how to read them.
fn kind(areas: &Areas) -> (&'static str, &'static str) {
    let is_there = |class: &str| {
        let at = areas.keys.iter().position(|key| key.class.starts_with(class));
        at.is_some_and(|at| areas.heights.iter().any(|layers| layers[at] > 0.0))
    };
    match (is_there("level"), is_there("live") || is_there("dead")) {
        (true, _) => ("levels", LEVELS),
        (_, true) => ("segments", SEGMENTS),
        _ => ("files", "Bytes of files; none of them is a table or a segment yet."),
    }
}

const LEVELS: &str = "Bytes of each level's tables, the deepest at the bottom, and of logs above them: a \
    flush turns a log into a table of level 0, and a compaction moves tables to a deeper level.";

const SEGMENTS: &str = "Bytes of segments that a get can still reach, and above them those that none can: \
    what is overwritten dies where it lies, and a merge gives it back.";

const ALL_FILES: &str = "The height of all is what the store takes on the disk, in the round in the middle, \
    on the same scale for every configuration.";

/// What a store was made of, from sample to sample.
fn shape(report: &Report, along: Along) -> Areas {
    let of_each = report.samples.len().div_ceil(series::FINE).max(1);
    let samples: Vec<&Sample> = report.samples.iter().step_by(of_each).chain(report.samples.last()).collect();
    let deepest = samples.iter().flat_map(|sample| &sample.levels).filter_map(|level| level.level).max();
    let key = |class: &str, name: &str| Key { class: class.to_string(), name: name.to_string() };
    let mut keys: Vec<Key> = match deepest {
        Some(deepest) => (0..=deepest).rev().map(level_key).collect(),
        None => vec![key("live", "live"), key("dead", "dead")],
    };
    let rest = if deepest.is_some() { "logs and other files" } else { "other files" };
    keys.push(key("rest", rest));
    let heights = samples.iter().map(|sample| layers(sample, deepest)).collect();
    Areas { keys, x: samples.iter().map(|sample| along.of(sample)).collect(), heights }
}

fn level_key(level: u8) -> Key {
    Key { class: format!("level{}", level.min(7)), name: format!("level {level}") }
}

/// Heights of the layers of one sample, from the bottom up.
fn layers(sample: &Sample, deepest: Option<u8>) -> Vec<f64> {
    let bytes = |level: Option<u8>| {
        let levels = sample.levels.iter().filter(|each| each.level == level);
        levels.fold((0, 0), |(bytes, live), each| (bytes + each.bytes, live + each.live_bytes))
    };
    let mut layers: Vec<u64> = match deepest {
        Some(deepest) => (0..=deepest).rev().map(|level| bytes(Some(level)).0).collect(),
        None => {
            let (all, live) = bytes(None);
            vec![live.min(all), all.saturating_sub(live)]
        }
    };
    layers.push(sample.disk_bytes.saturating_sub(layers.iter().sum()));
    layers.into_iter().map(|bytes| bytes as f64).collect()
}
