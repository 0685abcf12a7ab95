//! What torture came to, for people.

use crate::survive::torture::judge::Difference;
use crate::survive::torture::tally::Tally;
use serde::Serialize;
use std::fmt::{Display, Formatter, Result};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The engine.
    pub engine: String,
    /// What was done.
    #[serde(flatten)]
    pub tally: Tally,
    /// Different sets of options that stores were opened with at first.
    pub option_sets: u64,
    /// How long it took.
    pub seconds: f64,
    /// What was found, if anything was.
    pub finding: Option<Finding>,
}

impl Report {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.tally.operations as f64 / self.seconds.max(1e-9)
    }
}

/// A history that parts from the model.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The seed.
    pub seed: u64,
    /// The number of the history.
    pub number: u64,
    /// Where the short one parts.
    pub difference: Difference,
    /// The commands of the short one.
    pub commands: usize,
    /// The short one, as a script.
    pub script: String,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Tally {
            histories,
            operations,
            writes,
            durable_writes,
            reads,
            walks,
            loads,
            snapshots,
            compactions,
            checkpoints,
            reopens,
            kills,
            power_cuts,
            lost_changes,
            errors_injected,
            errors_met,
        } = &self.tally;
        let (sets, rate) = (self.option_sets, self.rate());
        writeln!(f, "{}: {operations} operations in {histories} histories, {rate:.0} a second", self.engine)?;
        writeln!(f, "  options       {sets} sets")?;
        writeln!(f, "  writes        {writes}, {durable_writes} of them durable, {loads} sorted loads")?;
        writeln!(f, "  reads         {reads}, {walks} of them cursors with writes beside them")?;
        writeln!(f, "  snapshots     {snapshots}")?;
        writeln!(f, "  compactions   {compactions} asked for, flushes among them")?;
        writeln!(f, "  checkpoints   {checkpoints}, each opened and compared")?;
        writeln!(f, "  reopens       {reopens}")?;
        writeln!(
            f,
            "  crashes       {kills} kills, {power_cuts} power cuts, which took {lost_changes} changes"
        )?;
        writeln!(f, "  errors        {errors_injected} injected, {errors_met} operations failed by them")?;
        match &self.finding {
            None => writeln!(f, "  differences   0"),
            Some(finding) => write!(f, "  differences   1\n\n{finding}"),
        }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Finding { number, commands, difference, script, .. } = self;
        writeln!(f, "history {number}, made short: {commands} commands")?;
        writeln!(f, "{difference}\n\n{script}")
    }
}
