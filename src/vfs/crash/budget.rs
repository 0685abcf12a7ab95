//! How much of what a crash could leave is tried.

/// How much of what is possible is tried.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Random states at each cut.
    pub random_per_cut: usize,
    /// States at each cut, at most; the random ones are always among them. When it is too few, the
    /// oldest pending operations are tried least, and [`Report::truncated`](crate::vfs::crash::state::Report::truncated) counts the cut.
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
