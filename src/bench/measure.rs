//! What the process costs, as the operating system tells it; and latencies.

use crate::bench::workload::Call;
use crate::vfs::os;
use cpu_time::ProcessTime;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The longest that a call takes: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Three significant digits. It grows with the slowest call.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are few enough")
}

/// How long calls of each kind took. One a thread: recording takes a lock that nobody else wants but for
/// a moment now and then.
#[derive(Debug)]
pub struct Clock {
    recent: Mutex<Vec<Option<Box<Histogram<u64>>>>>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { recent: Mutex::new((0..Call::ALL.len()).map(|_| None).collect()) }
    }
}

impl Clock {
    /// A call took so long.
    #[inline]
    pub fn record(&self, call: Call, took: Duration) {
        let histogram = &mut self.recent.lock()[call as usize];
        let nanoseconds = took.min(LONGEST).as_nanos() as u64;
        let histogram = histogram.get_or_insert_with(|| Box::new(self::histogram()));
        histogram.record(nanoseconds).expect("it grows up to a day");
    }
}

/// All latencies of a run.
#[derive(Debug)]
pub struct Latencies {
    total: Vec<Option<Histogram<u64>>>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { total: (0..Call::ALL.len()).map(|_| None).collect() }
    }
}

impl Latencies {
    /// Takes what the clocks have recorded since the last time; says what it was, all kinds together.
    pub fn collect<'a>(&mut self, clocks: impl Iterator<Item = &'a Clock>) -> Recent {
        let mut recent = histogram();
        for clock in clocks {
            for (total, part) in self.total.iter_mut().zip(clock.recent.lock().iter_mut()) {
                let Some(part) = part.as_mut().filter(|part| !part.is_empty()) else { continue };
                // They grow: adding does not fail.
                let added = total.get_or_insert_with(histogram).add(&**part);
                debug_assert!(added.is_ok());
                let added = recent.add(&**part);
                debug_assert!(added.is_ok());
                part.reset();
            }
        }
        let at = |quantile| recent.value_at_quantile(quantile) as f64 / 1000.0;
        Recent { calls: recent.len(), p50_us: at(0.5), p99_us: at(0.99) }
    }

    /// One line for each kind of call that was made.
    pub fn summary(&self) -> Vec<Latency> {
        let kinds = Call::ALL.into_iter().zip(&self.total);
        kinds.filter_map(|(call, total)| Some(Latency::of(call, total.as_ref()?))).collect()
    }
}

/// What was recorded since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    /// Calls.
    pub calls: u64,
    /// Half of them took at most so many microseconds.
    pub p50_us: f64,
    /// 99 in a hundred did.
    pub p99_us: f64,
}

/// How long calls of one kind took, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The kind.
    pub call: &'static str,
    /// How many there were.
    pub calls: u64,
    /// The mean.
    pub mean_us: f64,
    /// Half of them took at most this.
    pub p50_us: f64,
    /// 90 in a hundred did.
    pub p90_us: f64,
    /// 99 in a hundred did.
    pub p99_us: f64,
    /// 999 in a thousand did.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

impl Latency {
    fn of(call: Call, total: &Histogram<u64>) -> Latency {
        let at = |quantile| total.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            call: call.name(),
            calls: total.len(),
            mean_us: total.mean() / 1000.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: total.max() as f64 / 1000.0,
        }
    }
}

/// What the process has used since it began.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    cpu: ProcessTime,
}

impl Spent {
    /// Up to now.
    pub fn now() -> Spent {
        Spent { cpu: ProcessTime::now() }
    }

    /// Seconds of the processor since then, of all threads.
    pub fn cpu_seconds(&self) -> f64 {
        self.cpu.elapsed().as_secs_f64()
    }
}

/// A line of a file below `/proc/self`, as a number; `None` where there is no such thing.
fn proc_number(file: &str, name: &str) -> Option<u64> {
    let text = os::system_text(&Path::new("/proc/self").join(file)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

/// Bytes that the process holds in memory now; `None` where the system does not tell.
pub fn resident_bytes() -> Option<u64> {
    Some(proc_number("status", "VmRSS")? << 10)
}

/// Bytes that the process handed to the system in write calls so far, to whatever file; `None` where the
/// system does not tell.
pub fn written_bytes() -> Option<u64> {
    proc_number("io", "wchar")
}

#[cfg(test)]
mod tests {
    use super::{Clock, Latencies, resident_bytes, written_bytes};
    use crate::bench::workload::Call;
    use std::time::Duration;

    #[test]
    fn latencies_are_collected_from_all_clocks() {
        let clocks = [Clock::default(), Clock::default()];
        let mut latencies = Latencies::default();
        for us in 1..=1000 {
            clocks[us % 2].record(Call::Read, Duration::from_micros(us as u64));
        }
        assert_eq!(latencies.collect(clocks.iter()).calls, 1000);
        clocks[0].record(Call::Update, Duration::from_millis(5));
        let recent = latencies.collect(clocks.iter());
        assert!(recent.calls == 1 && (recent.p50_us - 5000.0).abs() < 10.0, "{recent:?}");
        let [read, update] = &latencies.summary()[..] else { panic!() };
        assert_eq!((read.call, read.calls, update.call, update.calls), ("read", 1000, "update", 1));
        assert!((read.p50_us - 500.0).abs() < 2.0 && (read.p99_us - 990.0).abs() < 2.0, "{read:?}");
        assert!((read.max_us - 1000.0).abs() < 2.0 && (read.mean_us - 500.0).abs() < 2.0, "{read:?}");
    }

    // A call of more than a minute was told as one of a minute.
    #[test]
    fn slow_calls_are_told_as_they_were() {
        let (clock, mut latencies) = (Clock::default(), Latencies::default());
        for seconds in [90, 0, 1_000_000] {
            clock.record(Call::Compact, Duration::from_secs(seconds));
            latencies.collect([&clock].into_iter());
            let slowest = latencies.summary()[0].max_us / 1e6;
            let told = seconds.clamp(90, 86_400) as f64;
            assert!((slowest / told - 1.0).abs() < 0.01, "{seconds} s: {slowest} s");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(written_bytes().is_some());
    }
}
