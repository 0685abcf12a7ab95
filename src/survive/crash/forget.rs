//! A sync that is left out on purpose, so that a learner sees what breaks.

use crate::survive::error::{Error, Result};
use crate::survive::history::{History, Workload};
use crate::survive::sites::{Site, sites};
use crate::vfs::memory::recording::Op;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// What is left out of a recording, as if the code had never asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forget {
    /// As it was written.
    text: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Syncs(Vec<Site>),
    Rename(&'static str),
}

/// Names for several places at once.
const GROUPS: &[(&[&str], &[Site])] = &[
    (
        &["log", "wal", "segment"],
        &[
            Site::LogHeader,
            Site::LogSeal,
            Site::DurableWrite,
            Site::ClosingActive,
            Site::OpeningActive,
            Site::OpeningTornTail,
        ],
    ),
    (&["table"], &[Site::FlushedTable, Site::CompactedTable, Site::LoadedTable]),
    (&["merge"], &[Site::MergeOutput, Site::MergeReplacements]),
    (
        &["manifest"],
        &[
            Site::ManifestBytes,
            Site::ManifestEdit,
            Site::ManifestEnd,
            Site::OpeningManifest,
            Site::OpeningTornEdit,
            Site::CheckpointManifestEnd,
        ],
    ),
    (&["identity"], &[Site::IdentityBytes]),
    (
        &["directory", "dir"],
        &[
            Site::IdentityName,
            Site::ManifestName,
            Site::LogName,
            Site::MergeNames,
            Site::FlushedNames,
            Site::CompactedNames,
            Site::LoadedNames,
            Site::OpeningNames,
        ],
    ),
    (&["all"], &Site::ALL),
];

impl Forget {
    /// One place in the code that syncs.
    pub fn site(site: Site) -> Forget {
        Forget { text: format!("sync:{}", site.name()), what: What::Syncs(vec![site]) }
    }

    /// Everything that can be written behind `sync:`: the groups, then the single places.
    pub fn names() -> Vec<(&'static str, String)> {
        let groups = GROUPS.iter().map(|(names, sites)| {
            let all = if sites.len() == Site::ALL.len() { "every sync".into() } else { list(sites) };
            (names[0], all)
        });
        groups.chain(Site::ALL.iter().map(|site| (site.name(), site.words().1.to_string()))).collect()
    }

    /// How often it happens, of these counts of [`count`]; renames are not counted.
    pub fn count(&self, counts: &BTreeMap<Site, usize>) -> usize {
        match &self.what {
            What::Syncs(all) => all.iter().filter_map(|site| counts.get(site)).sum(),
            What::Rename(_) => 0,
        }
    }

    /// Leaves it out; returns how many operations that were.
    pub fn leave_out(&self, history: &mut History) -> usize {
        match &self.what {
            What::Syncs(forgotten) => {
                let all = sites(history).into_iter().filter(|(_, site)| forgotten.contains(site));
                let all: BTreeSet<usize> = all.map(|(at, _)| at).collect();
                history.recording.forget_where(|at, _, _| all.contains(&at))
            }
            What::Rename(name) => {
                let is_it = |op: &Op| matches!(op, Op::Rename { to, .. } if to.ends_with(name));
                history.recording.forget_where(|_, op, _| is_it(op))
            }
        }
    }
}

fn list(sites: &[Site]) -> String {
    sites.iter().map(|site| site.name()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Forget {
    type Err = Error;

    /// Reads `sync:wal`, `sync:merge-output`, `rename:manifest`.
    fn from_str(text: &str) -> Result<Forget> {
        let what = match text.split_once(':') {
            Some(("sync", name)) => {
                let group = GROUPS.iter().find(|(names, _)| names.contains(&name));
                let site = Site::ALL.iter().find(|site| site.name() == name);
                match (group, site) {
                    (Some((_, sites)), _) => Some(What::Syncs(sites.to_vec())),
                    (None, Some(site)) => Some(What::Syncs(vec![*site])),
                    (None, None) => None,
                }
            }
            Some(("rename", "manifest")) => Some(What::Rename("MANIFEST")),
            Some(("rename", "identity")) => Some(What::Rename("ENGINE")),
            _ => None,
        };
        let what = what.ok_or_else(|| {
            Error::Plan(format!(
                "{text}: leave out sync:NAME, rename:manifest or rename:identity; `kvs crash --list` names the syncs"
            ))
        })?;
        Ok(Forget { text: text.into(), what })
    }
}

/// How often each place syncs in these workloads.
///
/// # Errors
/// What recording them can fail with.
pub fn count(workloads: &[Workload]) -> Result<BTreeMap<Site, usize>> {
    let mut counts = BTreeMap::new();
    for workload in workloads {
        for (_, site) in sites(&workload.record()?) {
            *counts.entry(site).or_default() += 1;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::{Forget, GROUPS};
    use crate::survive::sites::Site;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_read() {
        for (name, _) in Forget::names() {
            let text = format!("sync:{name}");
            let forget: Forget = text.parse().expect("it is listed");
            assert_eq!(forget.to_string(), text);
        }
        for site in Site::ALL {
            assert_eq!(Forget::site(site).to_string().parse::<Forget>().ok(), Some(Forget::site(site)));
        }
        for wrong in ["", "sync", "sync:", "sync:walnut", "rename:log", "wal"] {
            assert!(wrong.parse::<Forget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_have_names_of_their_own() {
        let names: BTreeSet<_> = Forget::names().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), Site::ALL.len() + GROUPS.len());
    }
}
