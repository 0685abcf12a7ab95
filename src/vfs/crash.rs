//! Every disk that a crash could leave, worked out from a recording.

mod model;
pub mod state;
pub mod timeline;

use crate::vfs::crash::model::{Fate, Model, Pending, Step, Tear, size_only, tears};
use crate::vfs::crash::state::{Progress, Report, State, Violation};
use crate::vfs::crash::timeline::Crash;
use crate::vfs::memory::image::Image;
use crate::vfs::memory::recording::{Mark, Op, Recording};
use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How much of what is possible is tried.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Random states at each cut.
    pub random_per_cut: usize,
    /// States at each cut, at most; the random ones are always among them. When it is too few, the
    /// oldest pending operations are tried least, and [`Report::truncated`] counts the cut.
    pub max_per_cut: usize,
    /// What the random states are drawn from. The same seed gives the same states.
    pub seed: u64,
    /// With so few pending operations, every subset of them is tried.
    pub exhaustive: usize,
    /// So many of the last pending writes are torn in every way while all else is kept.
    pub torn_writes: usize,
    /// So many places of each kind at which one write is torn.
    pub tears_per_write: usize,
    /// Exploring ends after so many violations.
    pub max_violations: usize,
    /// Cuts before so many operations are passed over: for recordings that begin as one that was
    /// explored before.
    pub from: usize,
    /// Cuts after so many operations are passed over: with `from`, a recording can be explored in parts.
    pub until: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            random_per_cut: 16,
            max_per_cut: 2000,
            seed: 1,
            exhaustive: 5,
            torn_writes: 3,
            tears_per_write: 16,
            max_violations: 10,
            from: 0,
            until: usize::MAX,
        }
    }
}

/// Shows a judge every disk that a crash could have left at any moment of the recording, within the
/// budget, and reports where it objected. A judge that panics objects.
///
/// # The model
///
/// 1. A change of a file's bytes is pending until a sync of that file, a change of a name until a
///    sync of its directory. Syncing a file does not sync its name.
/// 2. At a power cut any part of what is pending may be on the device, in any order. Where a later
///    write is there and an earlier one is not, there is a gap of zeros, or of what was there.
/// 3. A write may be there in part; a rename is there or not.
/// 4. A name points to a file, whatever it was called at the time: with a `create` lost and the
///    `rename` kept, the new name has the file.
///
/// A cut falls after each operation, and after each acknowledgement, which raises what must be
/// found. At each cut it shows the whole disk (a killed process); then power cuts: each prefix of
/// what is pending; each pending operation as the only one lost, and as the only one kept;
/// all bytes without names and the reverse; each file's bytes as the only ones lost or kept;
/// writes torn, or with their lengths alone; every subset where they are few; and random ones. What
/// an earlier cut has shown by the same measure is not worked out again.
///
/// Not in the model: bytes of other files in a gap, and devices that lie about a sync.
///
/// # States are judged once
///
/// ... for each pair of image and [`State::lo`]. [`State::hi`] is left out of that on purpose: it
/// only grows, so the first judgement was the strictest. A judge must therefore allow with a higher
/// `hi` whatever it allows with a lower one.
///
/// ```
/// use kvs::vfs::crash::{Budget, explore};
/// use kvs::vfs::memory::{SimDisk, recording::Mark};
/// use kvs::vfs::{Cause, Vfs};
///
/// let disk = SimDisk::new();
/// disk.mark(Mark::Issue(1));
/// let log = disk.create("/log".as_ref(), Cause::Log)?;
/// log.append(b"one")?;
/// log.sync()?;
/// disk.mark(Mark::Ack(1)); // a lie: the name is not durable yet
///
/// let report = explore(&disk.recording(), &Budget::default(), |state| {
///     // An engine's test opens the engine on SimDisk::from_image(&state.image, Record::Off) here.
///     match state.image.get("/log") {
///         Some(b"one") => Ok(()),
///         _ if state.lo() == 0 => Ok(()),
///         _ => Err("an acknowledged write is gone".into()),
///     }
/// });
/// assert_eq!(report.violations.len(), 1, "{report}");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn explore(
    recording: &Recording,
    budget: &Budget,
    judge: impl FnMut(&State<'_>) -> Result<(), String>,
) -> Report {
    let mut explorer = Explorer::new(recording, budget, judge);
    let _ = explorer.run();
    explorer.report
}

/// One disk that a power cut at the end of the recording could have left. The seed says which: all that was
/// not synced is lost, or each operation is there or not, or each file up to some point; writes may be
/// torn.
pub fn power_cut(recording: &Recording, seed: u64) -> Image {
    let budget = Budget::default();
    let mut explorer = Explorer::new(recording, &budget, |_: &State<'_>| Ok(()));
    for (index, op) in recording.ops().iter().enumerate() {
        explorer.model.step(index, op);
    }
    explorer.fates = vec![Fate::Lost; explorer.model.pending().len()];
    let mut random = Random(seed);
    match random.below(8) {
        0 => {}
        1..=3 => explorer.random_operations(&mut random),
        _ => explorer.random_prefixes(&mut random),
    }
    explorer.model.image(&explorer.fates)
}

/// Why to stop showing states.
enum Stop {
    /// This cut has used up its budget.
    Cut,
    /// There are violations enough.
    All,
}

/// What is new at a cut.
enum News {
    /// States that a power cut could leave.
    PowerCut,
    /// Only what must be found after a kill.
    Kill,
}

struct Explorer<'r, J> {
    recording: &'r Recording,
    budget: &'r Budget,
    judge: J,
    model: Model<'r>,
    /// What becomes of each pending operation in the state that is being made.
    fates: Vec<Fate>,
    cut: usize,
    progress: Progress,
    /// So many of the pending operations were pending at an earlier cut, on the same durable disk
    /// and with the same floor: the prefixes of these, and each of them alone, have been shown.
    shown: Option<usize>,
    /// States that this cut may still show.
    room: usize,
    seen: HashSet<(u128, u64)>,
    report: Report,
}

impl<'r, J: FnMut(&State<'_>) -> Result<(), String>> Explorer<'r, J> {
    fn new(recording: &'r Recording, budget: &'r Budget, judge: J) -> Explorer<'r, J> {
        Explorer {
            recording,
            budget,
            judge,
            model: Model::new(recording),
            fates: Vec::new(),
            cut: 0,
            progress: Progress::default(),
            shown: None,
            room: 0,
            seen: HashSet::new(),
            report: Report::default(),
        }
    }

    fn run(&mut self) -> Result<(), Stop> {
        let (recording, from) = (self.recording, self.budget.from);
        if from == 0 {
            self.visit(News::PowerCut)?;
        }
        for (index, op) in recording.ops().iter().enumerate().take(self.budget.until) {
            self.cut = index + 1;
            if let Some(news) = self.step(index, op)
                && self.cut >= from
            {
                self.visit(news)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, index: usize, op: &'r Op) -> Option<News> {
        match op {
            Op::Mark(Mark::Note(_)) => return None,
            // Until the next operation the disk is what it was, and what must be found is too.
            Op::Mark(Mark::Issue(n)) => {
                self.progress.issued = self.progress.issued.max(*n);
                return None;
            }
            Op::Mark(Mark::Handed(n)) => {
                self.progress.handed = self.progress.handed.max(*n);
                return Some(News::Kill);
            }
            Op::Mark(Mark::Ack(n)) => {
                self.progress.acked = self.progress.acked.max(*n);
                self.shown = None;
                return Some(News::PowerCut);
            }
            _ => {}
        }
        match self.model.step(index, op) {
            Step::Same => return Some(News::Kill),
            Step::Grew => {}
            Step::Settled => self.shown = None,
        }
        Some(News::PowerCut)
    }

    /// Shows what a crash at this cut could leave.
    fn visit(&mut self, news: News) -> Result<(), Stop> {
        self.report.cuts += 1;
        let random = self.budget.random_per_cut;
        self.room = self.budget.max_per_cut.saturating_sub(random).max(1);
        self.fates = vec![Fate::Kept; self.model.pending().len()];
        match self.killed(&news) {
            Err(Stop::Cut) => self.report.truncated += 1,
            other => other?,
        }
        if matches!(news, News::Kill) {
            return Ok(());
        }
        self.room = random;
        match self.random() {
            Err(Stop::Cut) | Ok(()) => {}
            stop => return stop,
        }
        self.shown = Some(self.fates.len());
        Ok(())
    }

    fn killed(&mut self, news: &News) -> Result<(), Stop> {
        self.show(Crash::Kill)?;
        self.killed_while_writing()?;
        match news {
            News::Kill => Ok(()),
            News::PowerCut => self.power_cuts(),
        }
    }

    /// A kill in the middle of the last write.
    fn killed_while_writing(&mut self) -> Result<(), Stop> {
        match self.model.pending().last() {
            Some(last) if last.index + 1 == self.cut => self.with_tears(self.fates.len() - 1, Crash::Kill),
            _ => Ok(()),
        }
    }

    /// The states that are made by rule, the likeliest first.
    fn power_cuts(&mut self) -> Result<(), Stop> {
        let pending = self.fates.len();
        let new = self.shown.unwrap_or(0)..pending;
        let prefixes = self.shown.map_or(0, |shown| shown + 1)..pending;
        for kept in prefixes {
            self.set(|at| if at < kept { Fate::Kept } else { Fate::Lost });
            self.show(Crash::PowerCut)?;
        }
        if pending <= self.budget.exhaustive {
            for subset in 0..1_u64 << pending {
                self.set(|at| if subset >> at & 1 == 1 { Fate::Kept } else { Fate::Lost });
                self.show(Crash::PowerCut)?;
            }
        }
        for only in new {
            self.set(|at| if at == only { Fate::Kept } else { Fate::Lost });
            self.show(Crash::PowerCut)?;
            self.set(|at| if at < only { Fate::Kept } else { Fate::Lost });
            self.with_tears(only, Crash::PowerCut)?;
        }
        self.by_kind()?;
        self.lengths_only()?;
        self.one_amiss()
    }

    /// Bytes without names, names without bytes, and the bytes of single files.
    fn by_kind(&mut self) -> Result<(), Stop> {
        let mut slots: Vec<Option<usize>> = self.model.pending().iter().map(|op| op.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        if slots.len() < 2 {
            return Ok(());
        }
        for chosen in slots {
            let keep = |yes: bool| if yes { Fate::Kept } else { Fate::Lost };
            self.set_by(|op| keep(op.slot != chosen));
            self.show(Crash::PowerCut)?;
            // A file's bytes alone would have no name, so the names come with them.
            self.set_by(|op| keep(op.slot == chosen || op.slot.is_none()));
            self.show(Crash::PowerCut)?;
        }
        Ok(())
    }

    /// The lengths without the bytes: of the last write, the last two, ... and of all.
    fn lengths_only(&mut self) -> Result<(), Stop> {
        self.fates.fill(Fate::Kept);
        let mut emptied = 0;
        for at in (0..self.fates.len()).rev() {
            let Some(hole) = size_only(self.model.pending()[at].op) else { continue };
            self.fates[at] = Fate::Torn(hole);
            emptied += 1;
            if emptied <= self.budget.torn_writes {
                self.show(Crash::PowerCut)?;
            }
        }
        self.show(Crash::PowerCut)
    }

    /// All kept but one: lost, or its length alone there, or torn if it is among the last.
    fn one_amiss(&mut self) -> Result<(), Stop> {
        let mut torn = 0;
        for one in (0..self.fates.len()).rev() {
            self.set(|at| if at == one { Fate::Lost } else { Fate::Kept });
            self.show(Crash::PowerCut)?;
            let Some(hole) = size_only(self.model.pending()[one].op) else { continue };
            self.fates[one] = Fate::Torn(hole);
            self.show(Crash::PowerCut)?;
            if torn < self.budget.torn_writes {
                torn += 1;
                self.with_tears(one, Crash::PowerCut)?;
            }
        }
        Ok(())
    }

    /// The state that is set, with one write torn in every way.
    fn with_tears(&mut self, at: usize, crash: Crash) -> Result<(), Stop> {
        for tear in tears(self.model.pending()[at].op, self.budget.tears_per_write) {
            // Who is killed leaves a shorter file, never a gap.
            if crash == Crash::PowerCut || matches!(tear, Tear::Cut(_)) {
                self.fates[at] = Fate::Torn(tear);
                self.show(crash)?;
            }
        }
        Ok(())
    }

    /// Random states: by turns each operation for itself, and each file up to some point, which is
    /// what most file systems do.
    fn random(&mut self) -> Result<(), Stop> {
        if self.fates.is_empty() {
            return Ok(());
        }
        let mut random = Random(self.budget.seed ^ (self.cut as u64) << 32);
        for turn in 0..self.budget.random_per_cut {
            if turn % 2 == 0 {
                self.random_operations(&mut random);
            } else {
                self.random_prefixes(&mut random);
            }
            self.show(Crash::PowerCut)?;
        }
        Ok(())
    }

    fn random_operations(&mut self, random: &mut Random) {
        let lost = [1, 4, 7][random.below(3)];
        for at in 0..self.fates.len() {
            self.fates[at] = if random.below(8) < lost { Fate::Lost } else { self.maybe_torn(at, random) };
        }
    }

    fn random_prefixes(&mut self, random: &mut Random) {
        self.fates.fill(Fate::Lost);
        let pending = self.model.pending();
        let mut ends: Vec<(Option<usize>, usize)> = Vec::new();
        for at in 0..pending.len() {
            let slot = pending[at].slot;
            let known = ends.iter().find(|(of, _)| *of == slot).map(|(_, end)| *end);
            let end = known.unwrap_or_else(|| {
                let end = random.below(pending.len() + 1);
                ends.push((slot, end));
                end
            });
            if at < end {
                let last = !pending[at + 1..end].iter().any(|later| later.slot == slot);
                self.fates[at] = if last { self.maybe_torn(at, random) } else { Fate::Kept };
            }
        }
    }

    fn maybe_torn(&self, at: usize, random: &mut Random) -> Fate {
        if random.below(4) > 0 {
            return Fate::Kept;
        }
        let op = self.model.pending()[at].op;
        let mut ways = tears(op, self.budget.tears_per_write);
        ways.extend(size_only(op));
        if ways.is_empty() { Fate::Kept } else { Fate::Torn(ways[random.below(ways.len())]) }
    }

    fn set(&mut self, fate: impl Fn(usize) -> Fate) {
        self.fates.iter_mut().enumerate().for_each(|(at, slot)| *slot = fate(at));
    }

    fn set_by(&mut self, fate: impl Fn(&Pending<'_>) -> Fate) {
        self.fates.iter_mut().zip(self.model.pending()).for_each(|(slot, op)| *slot = fate(op));
    }

    /// Shows the state that is set to the judge, unless it has seen it.
    fn show(&mut self, crash: Crash) -> Result<(), Stop> {
        if self.room == 0 {
            return Err(Stop::Cut);
        }
        self.room -= 1;
        self.report.states += 1;
        let image = self.model.image(&self.fates);
        if !self.seen.insert((image.hash(), self.progress.floor(crash))) {
            return Ok(());
        }
        self.report.distinct += 1;
        let state = State {
            image,
            cut: self.cut,
            crash,
            progress: self.progress,
            recording: self.recording,
            pending: self.model.pending(),
            fates: &self.fates,
        };
        let judge = &mut self.judge;
        let verdict = catch_unwind(AssertUnwindSafe(|| judge(&state)));
        if let Err(message) = verdict.unwrap_or_else(|panic| Err(words(&*panic))) {
            let (description, timeline) = (state.describe(), state.timeline());
            let State { cut, image, .. } = state;
            self.report.violations.push(Violation { description, cut, message, image, timeline });
            if self.report.violations.len() >= self.budget.max_violations {
                return Err(Stop::All);
            }
        }
        Ok(())
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("?"))
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Random, explore, power_cut};
    use crate::vfs::crash::state::Report;
    use crate::vfs::crash::timeline::Crash;
    use crate::vfs::memory::image::Image;
    use crate::vfs::memory::recording::{Forget, Mark, Recording};
    use crate::vfs::memory::{Record, SimDisk};
    use crate::vfs::{Cause, DiskFile, Vfs};
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    /// Files as `name=bytes`, directories as `name/`, in one line.
    fn line(image: &Image) -> String {
        let dirs = image.dirs.iter().map(|dir| format!("{}/", dir.display()));
        let files = image.files.iter().map(|(path, bytes)| {
            format!("{}={}", path.display(), bytes.escape_ascii().to_string().replace("\\x00", "0"))
        });
        dirs.chain(files).collect::<Vec<_>>().join(" ")
    }

    /// All states of the last cut, one a line, sorted; those of earlier cuts too.
    fn lines(recording: &Recording) -> Vec<String> {
        let mut lines = BTreeSet::new();
        let report = explore(recording, &Budget::default(), |state| {
            lines.insert(line(&state.image));
            Ok(())
        });
        assert_eq!(report.truncated, 0);
        lines.into_iter().collect()
    }

    fn create(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
        let file = disk.create(name.as_ref(), Cause::Log).unwrap();
        file.append(bytes).unwrap();
        file
    }

    #[test]
    fn a_file_that_was_never_synced() {
        let disk = SimDisk::new();
        create(&disk, "f", b"abcd");
        assert_eq!(lines(&disk.recording()), ["", "f=", "f=0000", "f=a", "f=ab", "f=abc", "f=abcd"]);
    }

    #[test]
    fn a_synced_file_is_there_once_its_name_is() {
        let disk = SimDisk::new();
        create(&disk, "f", b"abcd").sync().unwrap();
        disk.record(Record::On);
        assert_eq!(lines(&disk.recording()), ["f=abcd"], "what a recording begins with is durable");

        let disk = SimDisk::new();
        create(&disk, "f", b"").append(b"").unwrap();
        disk.sync_dir("".as_ref()).unwrap();
        disk.mark(Mark::Ack(1));
        let file = disk.append("f".as_ref(), Cause::Log).unwrap();
        file.append(b"ab").unwrap();
        file.sync().unwrap();
        disk.mark(Mark::Ack(2));
        let mut by_floor = BTreeSet::new();
        explore(&disk.recording(), &Budget::default(), |state| {
            by_floor.insert((state.lo(), line(&state.image)));
            Ok(())
        });
        let expected = [(0, ""), (0, "f="), (1, "f="), (1, "f=00"), (1, "f=a"), (1, "f=ab"), (2, "f=ab")];
        assert!(by_floor.iter().map(|(lo, line)| (*lo, &line[..])).eq(expected), "{by_floor:?}");
    }

    /// Writes `m` anew through a temporary file, as `Dir::replace` does.
    fn replaced() -> SimDisk {
        let mut image = Image::default();
        image.put("m", *b"old");
        let disk = SimDisk::from_image(&image, Record::On);
        disk.mark(Mark::Issue(1));
        create(&disk, "m.tmp", b"new").sync().unwrap();
        disk.rename("m.tmp".as_ref(), "m".as_ref()).unwrap();
        disk.sync_dir("".as_ref()).unwrap();
        disk.mark(Mark::Ack(1));
        disk
    }

    fn judge_replaced(recording: &Recording) -> Report {
        explore(recording, &Budget::default(), |state| match state.image.get("m") {
            Some(b"new") => Ok(()),
            Some(b"old") if state.lo() == 0 => Ok(()),
            other => Err(format!("m is {other:?} at {}", state.lo())),
        })
    }

    /// Each seed gives one of the disks that exploring shows, the same one every time; some keep, some lose.
    #[test]
    fn a_single_power_cut_is_one_of_those_that_exploring_shows() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"ab");
        file.sync().unwrap();
        disk.sync_dir("".as_ref()).unwrap();
        file.append(b"cd").unwrap();
        let all = lines(&disk.recording());
        let cuts: Vec<_> = (0..50).map(|seed| line(&power_cut(&disk.recording(), seed))).collect();
        assert!(cuts.iter().all(|cut| all.contains(cut)), "{cuts:?} {all:?}");
        assert!(cuts.iter().all(|cut| cut.starts_with("f=ab")), "{cuts:?}");
        assert!(cuts.contains(&"f=ab".to_string()) && cuts.contains(&"f=abcd".to_string()), "{cuts:?}");
        assert_eq!(cuts[7], line(&power_cut(&disk.recording(), 7)));
    }

    #[test]
    fn replacing_a_file_needs_both_syncs() {
        let recording = replaced().recording();
        let expected = [
            "m=new",
            "m=old",
            "m=old m.tmp=",
            "m=old m.tmp=000",
            "m=old m.tmp=n",
            "m=old m.tmp=ne",
            "m=old m.tmp=new",
        ];
        assert_eq!(lines(&recording), expected);
        assert!(judge_replaced(&recording).violations.is_empty());

        let mut no_file_sync = recording.clone();
        assert_eq!(no_file_sync.forget(&Forget::file_syncs("m.tmp")), 1);
        let report = judge_replaced(&no_file_sync);
        assert!(report.violations.iter().any(|v| v.image.get("m") == Some(b"")), "{report}");

        let mut no_dir_sync = recording.clone();
        assert_eq!(no_dir_sync.forget(&Forget::dir_syncs("")), 1);
        let report = judge_replaced(&no_dir_sync);
        assert!(report.violations.iter().all(|v| v.image.get("m") == Some(b"old")), "{report}");
        assert!(!report.violations.is_empty());
        let told = &report.violations[0].description;
        assert!(told.starts_with("power cut after #6 Ack(1): of 2 pending operations, "), "{told}");
    }

    #[test]
    fn pending_operations_come_in_any_order() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"");
        disk.sync_dir("".as_ref()).unwrap();
        file.append(b"a").unwrap();
        file.append(b"b").unwrap();
        assert_eq!(lines(&disk.recording()), ["", "f=", "f=0", "f=00", "f=0b", "f=a", "f=a0", "f=ab"]);
    }

    #[test]
    fn what_was_cut_off_may_come_back() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"abcd");
        disk.record(Record::On);
        file.truncate(1).unwrap();
        file.append(b"x").unwrap();
        assert_eq!(lines(&disk.recording()), ["f=a", "f=a0", "f=abcd", "f=ax", "f=axcd"]);
        file.sync().unwrap();
        file.reserve(2).unwrap();
        disk.mark(Mark::Ack(1));
        let mut last = BTreeSet::new();
        explore(&disk.recording(), &Budget::default(), |state| {
            last.extend((state.lo() == 1).then(|| line(&state.image)));
            Ok(())
        });
        assert!(last.iter().eq(["f=ax", "f=ax0", "f=ax00"]), "{last:?}");
    }

    #[test]
    fn names_point_to_files() {
        let disk = SimDisk::new();
        create(&disk, "a", b"1").sync().unwrap();
        disk.rename("a".as_ref(), "b".as_ref()).unwrap();
        disk.link("b".as_ref(), "c".as_ref()).unwrap();
        disk.remove("b".as_ref()).unwrap();
        let all = lines(&disk.recording());
        // With the creation lost and the rename kept, the new name has the file.
        for state in ["", "a=1", "b=1", "c=1", "a=1 c=1", "b=1 c=1"] {
            assert!(all.iter().any(|line| line == state), "{state:?} is not in {all:?}");
        }
        assert!(!all.iter().any(|line| line.contains("a=1 b=1")), "a rename is one: {all:?}");
    }

    #[test]
    fn a_lost_directory_takes_its_files_with_it() {
        let disk = SimDisk::new();
        disk.create_dir("/d".as_ref()).unwrap();
        disk.create_dir("/d/e".as_ref()).unwrap();
        create(&disk, "/d/e/f", b"x").sync().unwrap();
        disk.sync_dir("/d/e".as_ref()).unwrap();
        disk.mark(Mark::Ack(1));
        disk.sync_dir("/d".as_ref()).unwrap();
        disk.sync_dir("/".as_ref()).unwrap();
        disk.mark(Mark::Ack(2));
        let mut by_floor = [(); 3].map(|()| BTreeSet::new());
        explore(&disk.recording(), &Budget::default(), |state| {
            by_floor[state.lo() as usize].insert(line(&state.image));
            Ok(())
        });
        assert!(by_floor[1].iter().eq(["", "/d/", "/d/ /d/e/ /d/e/f=x"]), "{by_floor:?}");
        assert!(by_floor[2].iter().eq(["/d/ /d/e/ /d/e/f=x"]), "{by_floor:?}");
    }

    #[test]
    fn a_later_page_may_be_there_without_an_earlier_one() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"");
        disk.sync_dir("".as_ref()).unwrap();
        file.append(&[b'x'; 10_000]).unwrap();
        let mut kinds = BTreeSet::new();
        explore(&disk.recording(), &Budget::default(), |state| {
            let Some(bytes) = state.image.get("f") else { return Ok(()) };
            let pages = bytes.chunks(4096).map(|page| if page.contains(&b'x') { 'x' } else { '0' });
            kinds.insert((bytes.len(), pages.collect::<String>()));
            Ok(())
        });
        for pages in ["xxx", "0xx", "x0x", "xx0", "x00", "000"] {
            assert!(kinds.contains(&(10_000, pages.to_owned())), "{pages}: {kinds:?}");
        }
        for len in [1, 4096, 5000, 8192, 9999] {
            assert!(kinds.iter().any(|(found, _)| *found == len), "{len}: {kinds:?}");
        }
    }

    #[test]
    fn a_killed_process_loses_nothing_that_it_handed_over() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"");
        disk.sync_dir("".as_ref()).unwrap();
        for n in 1..=3 {
            disk.mark(Mark::Issue(n));
            file.append(&[b'0' + n as u8]).unwrap();
            disk.mark(Mark::Handed(n));
        }
        let mut killed = Vec::new();
        explore(&disk.recording(), &Budget::default(), |state| {
            assert_eq!(state.marks().count() as u64, state.hi() + state.progress.handed);
            match state.crash {
                Crash::Kill => killed.push((state.lo(), state.hi(), line(&state.image))),
                Crash::PowerCut => assert_eq!(state.lo(), 0),
            }
            Ok(())
        });
        let expected = [
            (0, 0, ""),
            (0, 0, "f="),
            (0, 1, "f=1"),
            (1, 1, "f=1"),
            (1, 2, "f=12"),
            (2, 2, "f=12"),
            (2, 3, "f=123"),
            (3, 3, "f=123"),
        ];
        assert!(killed.iter().map(|(lo, hi, line)| (*lo, *hi, &line[..])).eq(expected), "{killed:?}");
    }

    #[test]
    fn a_state_is_judged_once_for_each_measure() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"ab");
        for n in 0..20_u8 {
            file.append(&[n]).unwrap();
        }
        let mut seen = BTreeSet::new();
        let report = explore(&disk.recording(), &Budget::default(), |state| {
            assert!(seen.insert((state.lo(), line(&state.image))), "judged twice: {}", state.describe());
            Ok(())
        });
        assert_eq!((report.distinct, report.cuts), (seen.len() as u64, 23), "{report}");
        assert!(report.states > report.distinct && report.violations.is_empty(), "{report}");
        let small = Budget { max_per_cut: 24, ..Budget::default() };
        let less = explore(&disk.recording(), &small, |_| Ok(()));
        assert!(less.truncated > 0 && less.states <= 23 * 24, "{less}");
    }

    /// What an earlier cut has shown is left out, but a sync makes all of it new.
    #[test]
    fn a_sync_of_one_file_shows_the_others_anew() {
        let disk = SimDisk::new();
        let (f, g) = (create(&disk, "f", b""), create(&disk, "g", b""));
        disk.record(Record::On);
        (b'a'..=b'g').for_each(|byte| f.append(&[byte]).unwrap());
        g.append(b"x").unwrap();
        g.sync().unwrap();
        let budget = Budget { random_per_cut: 0, exhaustive: 0, ..Budget::default() };
        let mut lines = BTreeSet::new();
        explore(&disk.recording(), &budget, |state| {
            lines.insert(line(&state.image));
            Ok(())
        });
        for len in 0..=7 {
            let prefix = format!("f={} g=x", &"abcdefg"[..len]);
            assert!(lines.contains(&prefix), "{prefix} is not in {lines:?}");
        }
        assert!(lines.contains("f=00c g=x") && lines.contains("f=abcd0fg g="), "{lines:?}");
    }

    #[test]
    fn a_judge_that_panics_objects_and_enough_is_enough() {
        let disk = SimDisk::new();
        create(&disk, "f", b"abcd");
        let budget = Budget { max_violations: 2, ..Budget::default() };
        let report = explore(&disk.recording(), &budget, |state| {
            assert!(state.image.files.is_empty(), "a file");
            Ok(())
        });
        assert_eq!(report.violations.len(), 2);
        assert_eq!(report.violations[0].message, "panicked: a file");
        assert_eq!(report.violations[0].cut, 1);
    }

    /// Random histories of several files in two directories. Whatever was synced, bytes and name,
    /// is in every state; and no state shows bytes that nobody wrote.
    #[test]
    fn what_was_synced_is_always_there() {
        let (mut distinct, dirs) = (0, ["/a", "/b"]);
        for seed in 0..30 {
            let mut random = Random(seed);
            let disk = SimDisk::new();
            for dir in dirs {
                disk.create_dir(dir.as_ref()).unwrap();
            }
            disk.sync_dir("/".as_ref()).unwrap();
            let mut open = Vec::new();
            for step in 0..40_u8 {
                match random.below(6) {
                    0 => {
                        let path = format!("{}/{step}", dirs[random.below(2)]);
                        open.push((create(&disk, &path, b""), path, 0));
                    }
                    1 => disk.sync_dir(dirs[random.below(2)].as_ref()).unwrap(),
                    _ if open.is_empty() => {}
                    2 => {
                        let at = random.below(open.len());
                        open[at].0.sync().unwrap();
                        open[at].2 = open[at].0.len();
                        let path = Path::new(&open[at].1);
                        disk.sync_dir(path.parent().unwrap()).unwrap();
                        disk.mark(Mark::Note(format!("{} {}", open[at].1, open[at].2)));
                        // A claim changed, as by an acknowledgement: show everything again.
                        disk.mark(Mark::Ack(u64::from(step) + 1));
                    }
                    _ => {
                        let at = random.below(open.len());
                        open[at].0.append(&vec![step + 1; 1 + random.below(9)]).unwrap();
                    }
                }
            }
            let whole = disk.image();
            let budget = Budget { seed, ..Budget::default() };
            let report = explore(&disk.recording(), &budget, |state| {
                for mark in state.marks() {
                    let Mark::Note(note) = mark else { continue };
                    let (path, len) = note.split_once(' ').unwrap();
                    let len: usize = len.parse().unwrap();
                    let found = state.image.get(path).ok_or(format!("{path} is gone"))?;
                    assert_eq!(found.get(..len), Some(&whole.get(path).unwrap()[..len]), "{path}");
                }
                for (path, bytes) in &state.image.files {
                    let all = whole.get(path).unwrap();
                    assert!(bytes.iter().zip(all).all(|(found, wrote)| found == wrote || *found == 0));
                    assert!(bytes.len() <= all.len());
                }
                Ok(())
            });
            assert!(report.violations.is_empty(), "seed {seed}: {report}");
            distinct += report.distinct;
        }
        assert!(distinct > 5_000, "{distinct}");
    }

    /// The crash of a recovery: each state's own recovery is recorded and cut in turn.
    #[test]
    fn a_recovery_can_crash_too() {
        fn recover(disk: &SimDisk) {
            if disk.open("m.tmp".as_ref(), Cause::Recovery).is_ok() {
                disk.remove("m.tmp".as_ref()).unwrap();
                disk.sync_dir("".as_ref()).unwrap();
            }
        }
        let mut inner = 0;
        let report = explore(&replaced().recording(), &Budget::default(), |state| {
            let disk = SimDisk::from_image(&state.image, Record::On);
            recover(&disk);
            let report = explore(&disk.recording(), &Budget::default(), |again| {
                let disk = SimDisk::from_image(&again.image, Record::Off);
                recover(&disk);
                let found = disk.image();
                let fine = found.files.len() == 1 && found.get("m") == state.image.get("m");
                if fine { Ok(()) } else { Err(line(&found)) }
            });
            inner += report.distinct;
            if report.violations.is_empty() { Ok(()) } else { Err(report.to_string()) }
        });
        assert!(report.violations.is_empty(), "{report}");
        assert!(inner > report.distinct);
    }

    #[test]
    fn cuts_that_another_recording_has_shown_are_passed_over() {
        let disk = SimDisk::new();
        let file = create(&disk, "f", b"");
        (0..4_u8).for_each(|n| file.append(&[n]).unwrap());
        let whole = explore(&disk.recording(), &Budget::default(), |_| Ok(()));
        let mut cuts = BTreeSet::new();
        let rest = explore(&disk.recording(), &Budget { from: 3, ..Budget::default() }, |state| {
            cuts.insert(state.cut);
            Ok(())
        });
        assert!(cuts.into_iter().eq([3, 4, 5]) && (whole.cuts, rest.cuts) == (6, 3), "{rest}");
    }

    /// How fast states are made: `cargo test --release --lib states_a_second -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    fn states_a_second() {
        let disk = SimDisk::new();
        disk.create_dir("/store".as_ref()).unwrap();
        disk.sync_dir("/".as_ref()).unwrap();
        for segment in 0..5 {
            let file = create(&disk, &format!("/store/{segment}.seg"), b"");
            disk.sync_dir("/store".as_ref()).unwrap();
            for n in 0..40_u64 {
                disk.mark(Mark::Issue(segment * 40 + n));
                file.append(&vec![n as u8; 30 + (n as usize * 7) % 200]).unwrap();
                disk.mark(Mark::Handed(segment * 40 + n));
            }
            file.sync().unwrap();
        }
        let start = std::time::Instant::now();
        let report = explore(&disk.recording(), &Budget::default(), |_| Ok(()));
        let seconds = start.elapsed().as_secs_f64();
        println!("{report}: {:.0} states a second", report.states as f64 / seconds);
    }
}
