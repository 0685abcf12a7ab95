//! What was done in histories, counted.

use crate::survive::script::{Ack, Command, Crash, Look};
use serde::Serialize;

/// What was done. All of it depends on the seed alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Histories that came to their end.
    pub histories: u64,
    /// Commands that were done, and judged.
    pub operations: u64,
    /// Sets, removals, swaps, batches and loads among them.
    pub writes: u64,
    /// Those that waited for the device.
    pub durable_writes: u64,
    /// Gets, scans, walks and counts.
    pub reads: u64,
    /// Walks among them: a cursor that goes both ways, with writes beside it.
    pub walks: u64,
    /// Sorted loads.
    pub loads: u64,
    /// Snapshots that were taken.
    pub snapshots: u64,
    /// Flushes, compactions and settlings that were asked for.
    pub compactions: u64,
    /// Copies that were made, opened and compared.
    pub checkpoints: u64,
    /// Orderly closings, and openings behind them.
    pub reopens: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Changes that a power cut took, of those that no sync had covered.
    pub lost_changes: u64,
    /// Calls of the disk that were made to fail.
    pub errors_injected: u64,
    /// Commands that failed because of it.
    pub errors_met: u64,
}

impl Tally {
    /// Counts a command that is done.
    pub fn count(&mut self, command: &Command) {
        self.operations += 1;
        let one = match command {
            Command::Set(ack, ..) | Command::Remove(ack, _) | Command::Batch(ack, _) => {
                self.durable_writes += u64::from(*ack == Ack::Durable);
                &mut self.writes
            }
            Command::Swap(..) => &mut self.writes,
            Command::Load(_) => {
                self.loads += 1;
                &mut self.writes
            }
            Command::Look(_, look) => {
                self.walks += u64::from(matches!(look, Look::Walk(..)));
                &mut self.reads
            }
            Command::StatsKeys => &mut self.reads,
            Command::Snapshot(_) => &mut self.snapshots,
            Command::Compact(_) | Command::Flush | Command::Settle => &mut self.compactions,
            Command::Checkpoint(_) => &mut self.checkpoints,
            Command::Reopen | Command::Options(_) => &mut self.reopens,
            Command::Crash(Crash::Kill) => &mut self.kills,
            Command::Crash(Crash::Power(_)) => &mut self.power_cuts,
            _ => return,
        };
        *one += 1;
    }

    /// Adds another.
    pub fn add(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.histories, other.histories),
            (&mut self.operations, other.operations),
            (&mut self.writes, other.writes),
            (&mut self.durable_writes, other.durable_writes),
            (&mut self.reads, other.reads),
            (&mut self.walks, other.walks),
            (&mut self.loads, other.loads),
            (&mut self.snapshots, other.snapshots),
            (&mut self.compactions, other.compactions),
            (&mut self.checkpoints, other.checkpoints),
            (&mut self.reopens, other.reopens),
            (&mut self.kills, other.kills),
            (&mut self.power_cuts, other.power_cuts),
            (&mut self.lost_changes, other.lost_changes),
            (&mut self.errors_injected, other.errors_injected),
            (&mut self.errors_met, other.errors_met),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }
}
