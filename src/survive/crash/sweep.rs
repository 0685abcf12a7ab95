//! Each sync left out in its turn: does anybody notice?
//!
//! A sync that can be left out without a broken promise is either not needed, or a test is missing. Where
//! it is known not to be needed, [`Site::why_not_needed`] says why, and it must be so.

use crate::survive::crash::forget::Forget;
use crate::survive::crash::{Effort, Experiment, Way, first_violation};
use crate::survive::engine::Engine;
use crate::survive::error::{Error, Result};
use crate::survive::history::Workload;
use crate::survive::sites::{Site, sites};
use crate::survive::workloads;
use serde::Serialize;
use std::collections::BTreeMap;

/// What came of leaving out one sync.
#[derive(Clone, Debug, Serialize)]
pub struct Omission {
    /// The engine.
    pub engine: &'static str,
    /// The sync: its name behind `sync:`.
    pub sync: &'static str,
    /// What is synced there.
    pub what: &'static str,
    /// How often the workloads do it.
    pub times: usize,
    /// What noticed.
    pub verdict: Verdict,
}

/// Whether somebody noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A promise is broken.
    Caught {
        /// In which experiment.
        by: String,
        /// Which promise.
        message: String,
    },
    /// Nothing is broken, and nothing should be.
    NotNeeded {
        /// For this reason.
        because: &'static str,
    },
    /// Nothing is broken, and nobody knows why: a test is missing.
    Missed,
    /// A promise is broken, and it was said that none would be.
    NeededAfterAll {
        /// Which promise.
        message: String,
    },
}

impl Verdict {
    /// Whether it is as it should be.
    pub fn is_right(&self) -> bool {
        matches!(self, Verdict::Caught { .. } | Verdict::NotNeeded { .. })
    }
}

/// Leaves out each sync of an engine that its fixed workloads make, one kind after the other. `watch` is
/// told of each before it is tried; where it says `false`, the sweep ends.
///
/// # Errors
/// What recording a workload can fail with; [`Error::Interrupted`].
pub fn sweep(engine: &Engine, seed: u64, watch: &mut dyn FnMut(Site) -> bool) -> Result<Vec<Omission>> {
    let mut recorded = Vec::new();
    let mut counts: BTreeMap<Site, usize> = BTreeMap::new();
    for workload in workloads::fixed(engine) {
        let history = workload.record()?;
        let sites: Vec<Site> = sites(&history).into_iter().map(|(_, site)| site).collect();
        sites.iter().for_each(|site| *counts.entry(*site).or_default() += 1);
        recorded.push((history.recording.ops().len(), sites, workload));
    }
    // The shortest first: most is found there.
    recorded.sort_by_key(|(ops, ..)| *ops);
    let mut omissions = Vec::new();
    for (site, times) in counts {
        if !watch(site) {
            return Err(Error::Interrupted);
        }
        let because = site.why_not_needed(engine.kind);
        let having = recorded.iter().filter(|(_, sites, _)| sites.contains(&site));
        let having: Vec<&Workload> = having.map(|(.., workload)| workload).collect();
        let found = find(&having, site, seed, because.is_none())?;
        let verdict = match (found, because) {
            (Some((by, message)), None) => Verdict::Caught { by, message },
            (None, Some(because)) => Verdict::NotNeeded { because },
            (None, None) => Verdict::Missed,
            (Some((_, message)), Some(_)) => Verdict::NeededAfterAll { message },
        };
        let (sync, what) = site.words();
        omissions.push(Omission { engine: engine.name(), sync, what, times, verdict });
    }
    Ok(omissions)
}

/// The first experiment that misses the sync: one crash of each of these workloads, then, if it should be
/// found, second lives.
fn find(workloads: &[&Workload], site: Site, seed: u64, is_needed: bool) -> Result<Option<(String, String)>> {
    let forget = Forget::site(site);
    for way in Way::all().into_iter().take(if is_needed { usize::MAX } else { 1 }) {
        for &workload in workloads {
            let workload = workload.clone();
            let experiment = Experiment { workload, way: way.clone(), effort: Effort::Short, seed };
            if let Some(violation) = first_violation(&experiment, Some(&forget))? {
                return Ok(Some((experiment.name(), violation.message)));
            }
        }
    }
    Ok(None)
}
