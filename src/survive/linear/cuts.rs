//! What scans and snapshots may see while several threads write batches: one moment of all of them.
//!
//! Each writer counts its batches, and each batch writes its number to every key of the writer's group. So
//! what a snapshot shows is one number for each writer, and a whole history of batches and snapshots can be
//! judged by five rules. Together they say that there is an order of all batches of which each snapshot
//! shows a prefix:
//!
//! 1. The keys of a group have the same number: no half batches.
//! 2. A batch that was acknowledged before the snapshot began is in it; one that was begun after it ended is
//!    not.
//! 3. Of two snapshots one shows all that the other shows.
//! 4. A snapshot that began after another one ended shows all that it shows.
//! 5. With a batch come all those that were acknowledged before it was begun.

/// When one batch of a writer began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// When it was asked for.
    pub begin: u64,
    /// When it was acknowledged.
    pub end: u64,
}

/// What a snapshot or scan showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When it was asked for.
    pub begin: u64,
    /// When it was there; of a scan, when it came to its end.
    pub end: u64,
    /// For each writer, the number of its last batch that is in it; 0 is none.
    pub versions: Vec<u64>,
}

/// The batches of each writer since the last time that nothing ran, and the number of the last one before.
#[derive(Clone, Debug, Default)]
pub struct Writers {
    /// The number of each writer's last batch before the first of `batches`.
    pub before: Vec<u64>,
    /// Each writer's batches, in order.
    pub batches: Vec<Vec<Batch>>,
}

impl Writers {
    /// How many of a writer's batches were acknowledged before the moment.
    fn acknowledged(&self, writer: usize, moment: u64) -> u64 {
        self.before[writer] + self.batches[writer].partition_point(|batch| batch.end < moment) as u64
    }

    /// How many of a writer's batches were begun before the moment.
    fn begun(&self, writer: usize, moment: u64) -> u64 {
        self.before[writer] + self.batches[writer].partition_point(|batch| batch.begin < moment) as u64
    }

    /// The batch of this number, if it is one of these.
    fn batch(&self, writer: usize, number: u64) -> Option<&Batch> {
        let at = number.checked_sub(self.before[writer] + 1)?;
        self.batches[writer].get(usize::try_from(at).ok()?)
    }

    /// Whether there is an order of the batches of which each cut shows a prefix; else what is wrong.
    pub fn check(&self, cuts: &[Cut]) -> Result<(), String> {
        cuts.iter().try_for_each(|cut| self.check_alone(cut))?;
        check_chain(cuts)?;
        check_time(cuts)
    }

    /// Rules 2 and 5.
    fn check_alone(&self, cut: &Cut) -> Result<(), String> {
        for (writer, &number) in cut.versions.iter().enumerate() {
            let (least, most) = (self.acknowledged(writer, cut.begin), self.begun(writer, cut.end));
            if !(least..=most).contains(&number) {
                return Err(format!("writer {writer}: {number}, not {least} to {most}, in {cut:?}"));
            }
            let Some(batch) = self.batch(writer, number) else { continue };
            for (other, &shown) in cut.versions.iter().enumerate() {
                let known = self.acknowledged(other, batch.begin);
                if shown < known {
                    return Err(format!(
                        "batch {number} of writer {writer} without {known} of writer {other}, which was \
                         acknowledged before it was begun, in {cut:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Rule 3: sorted by how much they show, each shows all that the one before it shows.
fn check_chain(cuts: &[Cut]) -> Result<(), String> {
    let mut sorted: Vec<&Cut> = cuts.iter().collect();
    sorted.sort_by_key(|cut| cut.versions.iter().sum::<u64>());
    for pair in sorted.windows(2) {
        if !shows_all(pair[1], &pair[0].versions) {
            return Err(format!("neither shows all of the other: {:?} and {:?}", pair[0], pair[1]));
        }
    }
    Ok(())
}

/// Rule 4: who begins sees what anybody had seen to its end.
fn check_time(cuts: &[Cut]) -> Result<(), String> {
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * cuts.len());
    for (at, cut) in cuts.iter().enumerate() {
        moments.extend([(cut.begin, false, at), (cut.end, true, at)]);
    }
    moments.sort_unstable();
    let mut seen = vec![0; cuts.first().map_or(0, |cut| cut.versions.len())];
    let mut floors = vec![Vec::new(); cuts.len()];
    for (_, is_end, at) in moments {
        if !is_end {
            floors[at].clone_from(&seen);
            continue;
        }
        if !shows_all(&cuts[at], &floors[at]) {
            return Err(format!("less than was seen before it began, {:?}: {:?}", floors[at], cuts[at]));
        }
        seen.iter_mut().zip(&cuts[at].versions).for_each(|(seen, now)| *seen = (*seen).max(*now));
    }
    Ok(())
}

fn shows_all(cut: &Cut, versions: &[u64]) -> bool {
    cut.versions.iter().zip(versions).all(|(shown, wanted)| shown >= wanted)
}

/// Rule 1: the number that all keys of a group have; `None` if they have not.
pub fn version_of(group: &[u64]) -> Option<u64> {
    let first = *group.first()?;
    group.iter().all(|number| *number == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{Batch, Cut, Writers, version_of};

    fn batch((begin, end): (u64, u64)) -> Batch {
        Batch { begin, end }
    }

    /// Two writers: one with batches at 1..2 and 5..8, one with batches at 3..4 and 6..7.
    fn writers() -> Writers {
        let batches = [[(1, 2), (5, 8)], [(3, 4), (6, 7)]].map(|all| all.map(batch).to_vec());
        Writers { before: vec![0, 0], batches: batches.to_vec() }
    }

    fn cut(begin: u64, end: u64, versions: [u64; 2]) -> Cut {
        Cut { begin, end, versions: versions.to_vec() }
    }

    #[test]
    fn prefixes_are_accepted() {
        let all = [cut(0, 20, [0, 0]), cut(9, 10, [2, 2]), cut(5, 10, [1, 2]), cut(4, 11, [1, 1])];
        // Sorted by time: the wide ones may show anything between.
        assert_eq!(writers().check(&all[..1]), Ok(()));
        assert_eq!(writers().check(&all[1..]), Ok(()));
        let other_order = [cut(5, 10, [2, 1]), cut(9, 10, [2, 2])];
        assert_eq!(writers().check(&other_order), Ok(()));
        assert_eq!(writers().check(&[]), Ok(()));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        let lost = [cut(9, 10, [1, 2])];
        let too_early = [cut(0, 4, [1, 2])];
        let never = [cut(9, 10, [3, 2])];
        let two_orders = [cut(5, 10, [2, 1]), cut(5, 11, [1, 2])];
        let back_in_time = [cut(5, 6, [2, 1]), cut(7, 9, [1, 1])];
        let all: [(&str, &[Cut]); 5] = [
            ("acknowledged, and not there", &lost),
            ("there before it was begun", &too_early),
            ("never written", &never),
            ("two snapshots in two orders", &two_orders),
            ("the later one shows less", &back_in_time),
        ];
        for (what, cuts) in all {
            assert!(writers().check(cuts).is_err(), "{what}");
        }
        // Batch 1 of the second writer was begun when batch 1 of the first was acknowledged.
        let without_its_cause = cut(0, 20, [0, 1]);
        assert!(writers().check(&[without_its_cause]).unwrap_err().contains("without 1 of writer 0"));
        assert_eq!((version_of(&[3, 3, 3]), version_of(&[3, 4, 3])), (Some(3), None));
    }
}
