//! Looks at a run from outside, now and then.

use super::run::Run;
use crate::bench::error::{Error, Result};
use crate::bench::measure::{Clock, Latencies, Recent, Spent, resident_bytes};
use crate::bench::report::{Sample, Shape};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Looks at a run from outside.
pub(super) struct Gauge<'a> {
    run: &'a Run<'a>,
    clocks: &'a [Clock],
    pub(super) latencies: Latencies,
    pub(super) samples: Vec<Sample>,
    pub(super) peak: Option<u64>,
    pub(super) spent: Spent,
    /// The meters at the beginning.
    user: (u64, u64),
    disk: (u64, u64),
}

impl<'a> Gauge<'a> {
    pub(super) fn new(run: &'a Run<'a>, clocks: &'a [Clock]) -> Gauge<'a> {
        let mut gauge = Gauge {
            run,
            clocks,
            latencies: Latencies::default(),
            samples: Vec::new(),
            peak: None,
            spent: Spent::now(),
            user: (0, 0),
            disk: (0, 0),
        };
        (gauge.user, gauge.disk) = (gauge.user_bytes(), gauge.disk_bytes());
        gauge
    }

    fn user_bytes(&self) -> (u64, u64) {
        self.run.subject.usage().map_or((0, 0), |usage| (usage.bytes_written(), usage.bytes_read()))
    }

    fn disk_bytes(&self) -> (u64, u64) {
        let total = self.run.subject.ledger().map(|ledger| ledger.total);
        total.map_or((0, 0), |total| (total.written_bytes, total.read_bytes + total.mapped_bytes))
    }

    /// A look at a moment.
    pub(super) fn take(&mut self, now: Duration) -> Result<&Sample> {
        let run = self.run;
        let stats = run.subject.stats()?;
        let (user, disk) = (self.user_bytes(), self.disk_bytes());
        let Recent { p50_us, p99_us, .. } = self.latencies.collect(self.clocks.iter());
        let is_stepped = run.pace.every.is_none();
        if !is_stepped {
            self.peak = self.peak.max(resident_bytes());
        }
        let before = self.samples.last().map_or((0.0, 0), |last| (last.seconds, last.pairs));
        let pairs = run.pairs.load(Ordering::Relaxed);
        // The last look is that of the end, which may have been a moment before the one of the last sample.
        let seconds = if is_stepped { 0.0 } else { now.as_secs_f64().max(before.0) };
        let since = seconds - before.0;
        let pairs_per_second = if since > 0.0 { (pairs - before.1) as f64 / since } else { 0.0 };
        let shape = Shape::of(&stats, 0, 0);
        self.samples.push(Sample {
            seconds,
            pairs,
            pairs_per_second,
            p50_us,
            p99_us,
            user_written_bytes: user.0 - self.user.0,
            user_read_bytes: user.1 - self.user.1,
            written_bytes: disk.0 - self.disk.0,
            read_bytes: disk.1 - self.disk.1,
            disk_bytes: stats.disk_bytes,
            live_bytes: stats.live_bytes,
            memory_bytes: stats.memory_bytes,
            levels: shape.levels,
        });
        self.samples.last().ok_or_else(|| Error::plan("no sample was taken"))
    }
}
