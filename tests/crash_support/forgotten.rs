//! The proof that each sync is needed, and that the tests would notice: one is left out, and the
//! explorer must find a disk on which a promise is broken.

use kvs::engine::options::Durability::{Always, Os};
use kvs::survive::engine::Engine;
use kvs::survive::history::{History, Workload};
use kvs::survive::lives::{SecondLife, second_lives};
use kvs::survive::oracle::{Known, Oracle};
use kvs::survive::sites::{Site, sites};
use kvs::survive::step::{Step, set};
use kvs::survive::workloads;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::memory::recording::Op;
use std::collections::BTreeSet;

/// Where a sync that was left out is missed.
enum Missed {
    /// In the power cut of the process that did not sync.
    AtOnce,
    /// In the power cut of a second process, that did not sync either what the first, killed, had left.
    InASecondLife(fn() -> Vec<Step>),
}

use Missed::{AtOnce, InASecondLife};

fn no_steps() -> Vec<Step> {
    Vec::new()
}

fn a_write() -> Vec<Step> {
    vec![set("x", 5, Os)]
}

fn a_durable_write() -> Vec<Step> {
    vec![set("x", 5, Always)]
}

/// Declares a test for each sync, and the list of all of them: those of every engine, then each
/// engine's own.
macro_rules! forgotten {
    (every engine $both:tt $($engine:ident $own:tt)*) => {
        $(forgotten!(@join $engine $both $own);)*

        /// The syncs of an engine that have a test.
        fn needed(engine: &Engine) -> &'static [Site] {
            $(if *engine == Engine::$engine() {
                return $engine::NEEDED;
            })*
            &[]
        }
    };
    (@join $engine:ident { $($both:tt)* } { $($own:tt)* }) => {
        forgotten!(@tests $engine { $($both)* $($own)* });
    };
    (@tests $engine:ident {
        $($(#[doc = $story:literal])* $test:ident: $site:ident, $workload:ident, $missed:expr;)*
    }) => {
        mod $engine {
            use super::*;

            $(
                $(#[doc = $story])*
                #[test]
                fn $test() {
                    is_missed(Site::$site, workloads::$workload(&Engine::$engine()), $missed);
                }
            )*

            #[test]
            fn forgotten_renames() {
                super::forgotten_renames(&Engine::$engine());
            }

            #[test]
            fn every_sync_is_accounted_for() {
                super::every_sync_is_accounted_for(&Engine::$engine());
            }

            pub(super) const NEEDED: &[Site] = &[$(Site::$site),*];
        }
    };
}

forgotten! {
    every engine {
        /// The store's directory, three levels deep, and each level's entry in the one above (fjall's
        /// `keyspaces/<id>`, 212 states; RocksDB, HISTORY.md:1151).
        forgotten_parent_of_the_store: ParentOfTheStore, creation, AtOnce;
        /// A bug of ours: a process was killed when it had made `a` of `a/b/c`. The next one made `b` and
        /// `c` and synced what it had made itself. It acknowledged a durable write, and the power cut took
        /// `a` with everything in it.
        forgotten_parent_that_a_killed_process_made: ParentOfTheStore, creation, InASecondLife(a_durable_write);
        /// The identity is put in place by a rename. Without its bytes it is an empty file under the right
        /// name (rocksdb#8682 is the same with `CURRENT`).
        forgotten_identity_bytes: IdentityBytes, creation, AtOnce;
        /// At creation, opening syncs the directory again, so this is a checkpoint's.
        forgotten_identity_name: IdentityName, checkpoint, AtOnce;
        /// As with the identity (rocksdb#13161: a file of no bytes that the manifest names).
        forgotten_manifest_bytes: ManifestBytes, creation, AtOnce;
        forgotten_manifest_bytes_replaced: ManifestBytes, manifest_replaced, AtOnce;
        /// The identity's name may be there without the manifest's.
        forgotten_manifest_name: ManifestName, creation, AtOnce;
        /// Edits go to the new manifest while the disk still has the old one under its name.
        forgotten_manifest_name_replaced: ManifestName, manifest_replaced, AtOnce;
        /// Durable writes in a log that nothing names.
        forgotten_edit_of_a_rotation: ManifestEdit, rotation, AtOnce;
        /// Inputs that are gone, and the edit that took them out of the list is gone too.
        forgotten_edit_of_a_merge: ManifestEdit, compact, AtOnce;
        /// The list names a log that does not even have a header.
        forgotten_log_header: LogHeader, rotation, AtOnce;
        /// The list names a log that is not there (surrealdb#7426, leveldb#333).
        forgotten_log_name: LogName, rotation, AtOnce;
        /// Durable writes in the new log while the end of the old one is lost: a hole in the history.
        forgotten_log_seal: LogSeal, rotation, AtOnce;
        /// The plainest promise.
        forgotten_durable_write: DurableWrite, singles, AtOnce;
        /// As above, where zeros were written ahead and only the bytes change.
        forgotten_durable_write_in_reserved_space: DurableWrite, reserving, AtOnce;
        /// A clean close says in the manifest how much is durable; if it is not, that is damage.
        forgotten_close_of_the_active_log: ClosingActive, reopening, AtOnce;
        /// Two records were torn off, the first as zeros, the second whole. Without this sync the second
        /// comes back behind a new record that has the length of the first (amelie#17, kuzu#5852).
        forgotten_cut_of_a_torn_tail: OpeningTornTail, torn_tail, AtOnce;
        /// A bug of ours: a process was killed between writing an edit and syncing it. The next one read
        /// the edit, removed the files that it condemned, and wrote into the log that it named. The
        /// power cut took the edit: the store named files that were gone, and did not open.
        forgotten_edit_that_a_killed_process_left: OpeningManifest, compact, InASecondLife(a_durable_write);
        /// A bug of ours, as above with names: the rename of the identity, not synced, was believed by the
        /// next process. The power cut took it, and with it the store.
        forgotten_identity_that_a_killed_process_left: OpeningNames, creation, InASecondLife(a_durable_write);
        /// And the rename of a new manifest, to which the next process added its edits.
        forgotten_manifest_that_a_killed_process_left: OpeningNames, manifest_replaced, InASecondLife(a_durable_write);
    }
    bitcask {
        /// A merge's output takes the place of its inputs, so it must be there before they go.
        forgotten_merge_output: MergeOutput, compact, AtOnce;
        forgotten_merge_names: MergeNames, compact, AtOnce;
        /// A merge leaves out a value that was replaced. The new value was not on the device yet, and the
        /// old one went with its segment.
        forgotten_replacements_of_a_merge: MergeReplacements, merge_behind, AtOnce;
        /// A bug of ours: a process was killed when it had replaced a value without a sync. The next one
        /// only opened and closed the store, and wrote the hint of the old value's segment without that
        /// value. The power cut kept the hint and took the new value: the key was gone.
        forgotten_writes_that_a_killed_process_left: OpeningActive, compact, InASecondLife(no_steps);
        /// What is written for a tree that takes this store's place is a flush of that tree.
        forgotten_table_of_a_migration: FlushedTable, migration, AtOnce;
        forgotten_name_of_a_migrated_table: FlushedNames, migration, AtOnce;
    }
    lsm {
        /// Row C3: an edit that names a table of which the device has nothing (surrealdb#7426,
        /// leveldb#333), while its log is gone.
        forgotten_table_of_a_flush: FlushedTable, rotation, AtOnce;
        forgotten_name_of_a_flushed_table: FlushedNames, rotation, AtOnce;
        /// The same, of tables whose inputs are gone.
        forgotten_tables_of_a_compaction: CompactedTable, compact, AtOnce;
        forgotten_names_of_compacted_tables: CompactedNames, compact, AtOnce;
        /// A load has no log: it is acknowledged as durable when its tables are.
        forgotten_table_of_a_load: LoadedTable, loads, AtOnce;
        forgotten_names_of_loaded_tables: LoadedNames, loads, AtOnce;
        /// What a killed process had written and not synced is vouched for by the next process' first
        /// record. The power cut took the one and kept the other: damage, where there was none.
        forgotten_writes_that_a_killed_process_left: OpeningActive, unsynced, InASecondLife(a_write);
    }
}

/// Leaves out one sync of this site after the other, and finds a promise broken at least once.
fn is_missed(site: Site, workload: Workload, missed: Missed) {
    let history = workload.record().unwrap();
    let budget = Budget { max_violations: 1, random_per_cut: 8, ..Budget::default() };
    let caught = match missed {
        AtOnce => is_missed_at_once(site, history, &budget),
        InASecondLife(steps) => is_missed_in_a_second_life(site, &history, &steps(), &budget),
    };
    println!("{site:?} left out in {}: {caught}", workload.name);
}

fn is_missed_at_once(site: Site, mut history: History, budget: &Budget) -> String {
    let whole = history.recording.clone();
    let all: Vec<usize> =
        sites(&history).into_iter().filter(|(_, at)| *at == site).map(|(at, _)| at).collect();
    let mut caught = 0;
    let mut first = None;
    for &forgotten in &all {
        history.recording = whole.clone();
        assert_eq!(history.recording.forget_where(|at, _, _| at == forgotten), 1);
        let report = explore_from(&history, forgotten + 1, budget);
        caught += report.violations.len();
        first = first.or(report.violations.into_iter().next());
    }
    let violation = first.unwrap_or_else(|| panic!("{site:?}: none of {} was missed", all.len()));
    format!("{caught} of {} are missed, as here: {}", all.len(), violation.message)
}

fn explore_from(history: &History, from: usize, budget: &Budget) -> kvs::vfs::crash::state::Report {
    let (mut known, budget) = (Known::default(), Budget { from, ..budget.clone() });
    let mut oracle = Oracle::new(history, &mut known);
    explore(&history.recording, &budget, |state| oracle.judge(state))
}

fn is_missed_in_a_second_life(site: Site, history: &History, steps: &[Step], budget: &Budget) -> String {
    let forget = |second: &mut History, begins: usize| {
        let ops = second.recording.ops();
        // Parents of what the second life has made itself are another story.
        let is_left = |at: usize| {
            site != Site::ParentOfTheStore || ops[begins..at].iter().all(|op| matches!(op, Op::Mark(_)))
        };
        let all = sites(second).into_iter().map(|(at, found)| (at, found == site));
        let all: BTreeSet<usize> =
            all.filter(|&(at, is_it)| is_it && at >= begins && is_left(at)).map(|(at, _)| at).collect();
        second.recording.forget_where(|at, _, _| all.contains(&at));
    };
    let (report, _) = second_lives(
        history,
        &SecondLife { steps, every: 1, skipped: 0, kills: 0..usize::MAX },
        budget,
        forget,
    );
    let violation = report.violations.first().unwrap_or_else(|| panic!("{site:?} was not missed: {report}"));
    format!("missed, as here: {}", violation.message)
}

/// A rename that is left out is a file that is not in place.
fn forgotten_renames(engine: &Engine) {
    for (workload, name) in [
        (workloads::creation(engine), "ENGINE"),
        (workloads::creation(engine), "MANIFEST"),
        (workloads::manifest_replaced(engine), "MANIFEST"),
    ] {
        let mut history = workload.record().unwrap();
        let is_it = |op: &Op| matches!(op, Op::Rename { to, .. } if to.ends_with(name));
        assert_eq!(history.recording.forget_where(|_, op, _| is_it(op)), 1);
        let budget = Budget { max_violations: 1, ..Budget::default() };
        assert_eq!(explore_from(&history, 0, &budget).violations.len(), 1, "{name} of {}", workload.name);
    }
}

/// Each sync of each workload comes from a line that has a test above or a reason not to; and leaving
/// out those that are said not to be needed breaks nothing.
fn every_sync_is_accounted_for(engine: &Engine) {
    let is_needless = |site: &Site| site.why_not_needed(engine.kind).is_some();
    let not_needed: Vec<Site> = Site::ALL.into_iter().filter(is_needless).collect();
    let budget = Budget { max_violations: 1, random_per_cut: 8, ..Budget::default() };
    let mut left_out = BTreeSet::new();
    for workload in workloads::fixed(engine) {
        let mut history = workload.record().unwrap();
        let all = sites(&history);
        for (at, site) in &all {
            let is_known = needed(engine).contains(site) != not_needed.contains(site);
            assert!(is_known, "{site:?}: {} in {}", history.recording.describe(*at), workload.name);
        }
        let needless: BTreeSet<usize> =
            all.iter().filter(|(_, site)| not_needed.contains(site)).map(|(at, _)| *at).collect();
        left_out.extend(all.iter().map(|(_, site)| *site).filter(|site| not_needed.contains(site)));
        history.recording.forget_where(|at, _, _| needless.contains(&at));
        let report = explore_from(&history, 0, &budget);
        assert!(report.violations.is_empty(), "{}: {report}", workload.name);
    }
    assert!(left_out.into_iter().eq(BTreeSet::from_iter(not_needed)));
}
