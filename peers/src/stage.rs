//! What is run: stages, each on a new store in a process of its own.

use kvs::bench::error::Result;
use kvs::bench::workload::Workload;

/// What is run if nobody says. Whatever leaves work for the background is settled, so that nobody pays for
/// another's, and so that bytes that a store still holds back are counted.
pub const WORKLOADS: &str = "fillseq,settle,fillrandom,settle,readrandom,readhot,readmissing,readseq,\
                             seekrandom,readwhilewriting,settle,overwrite,settle,deleterandom,settle,\
                             fillbatch,settle,fillsync";

/// What is run besides if nobody says: with several threads.
pub const BESIDE: [(usize, &str); 2] =
    [(2, "fillrandom,settle,readrandom"), (8, "fillbatch,settle,fillsync")];

/// Workloads on one store, of which the first fills it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Threads that make calls.
    pub threads: usize,
    /// The workloads, in this order.
    pub workloads: Vec<Workload>,
}

impl Stage {
    /// A list of names, cut before each workload that makes a store. What does not begin with one begins
    /// with `fillrandom`.
    pub fn of(threads: usize, names: &str) -> Result<Vec<Stage>> {
        let mut stages: Vec<Stage> = Vec::new();
        for name in names.split(',') {
            let workload = Workload::named(name.trim())?;
            if workload.makes_a_store() {
                stages.push(Stage { threads, workloads: Vec::new() });
            } else if stages.is_empty() {
                stages.push(Stage { threads, workloads: vec![Workload::named("fillrandom")?] });
            }
            if let Some(stage) = stages.last_mut() {
                stage.workloads.push(workload);
            }
        }
        Ok(stages)
    }

    /// The stages of a run: as asked for, or all.
    pub fn all(workloads: Option<&str>, threads: Option<usize>) -> Result<Vec<Stage>> {
        let mut stages = Stage::of(threads.unwrap_or(1), workloads.unwrap_or(WORKLOADS))?;
        if workloads.is_none() && threads.is_none() {
            for (threads, names) in BESIDE {
                stages.extend(Stage::of(threads, names)?);
            }
        }
        Ok(stages)
    }

    /// The names of its workloads, as [`Stage::of`] reads them.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.workloads.iter().map(|workload| workload.name.as_str()).collect();
        names.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::{BESIDE, Stage, WORKLOADS};

    fn names(stages: &[Stage]) -> Vec<(usize, String)> {
        stages.iter().map(|stage| (stage.threads, stage.names())).collect()
    }

    #[test]
    fn a_list_is_cut_before_each_fill() {
        let stages = Stage::of(3, "readhot, settle,fillseq,fillbatch,overwrite").unwrap();
        let expected = ["fillrandom,readhot,settle", "fillseq", "fillbatch,overwrite"];
        assert_eq!(names(&stages), expected.map(|names| (3, names.to_string())));
        assert!(Stage::of(1, "fillseq,nothing").unwrap_err().to_string().contains("nothing"));
    }

    #[test]
    fn threads_come_in_only_where_nothing_is_asked_for() {
        let all = Stage::all(None, None).unwrap();
        assert_eq!(all.len(), Stage::of(1, WORKLOADS).unwrap().len() + BESIDE.len());
        assert_eq!(names(&Stage::all(Some("fillseq"), None).unwrap()), [(1, "fillseq".to_string())]);
        assert!(Stage::all(None, Some(4)).unwrap().iter().all(|stage| stage.threads == 4));
    }
}
