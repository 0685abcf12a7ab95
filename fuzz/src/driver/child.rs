//! One target in a process of its own: libFuzzer ends the process when it is done, and a finding does too.

use super::arguments::Limit;
use super::build::Programs;
use super::corpora;
use super::figures::Figure;
use crate::targets::Target;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

/// Gives a target some inputs, once each; returns what the process exits with.
pub(super) fn again(target: &Target, programs: &Programs, files: &[PathBuf]) -> Result<u8, String> {
    let status = programs.of(target).args(files).status().map_err(|error| error.to_string())?;
    Ok(u8::from(!status.success()))
}

/// Fuzzes a target until the limit, from its corpus and what earlier runs have found.
pub(super) fn fuzz(target: &Target, programs: &Programs, limit: Limit) -> Result<Figure, String> {
    let [work, findings] = [corpora::work(target)?, corpora::findings(target)?];
    let before = corpora::count(&findings);
    let mut command = programs.of(target);
    command.args([
        format!("-max_len={}", target.max_len),
        format!("-artifact_prefix={}/", findings.display()),
        "-print_final_stats=1".into(),
        "-rss_limit_mb=2048".into(),
        "-timeout=20".into(),
        // What is slow is no finding unless it takes as long as that: seconds are the clock's, and on a busy machine
        // an input may wait for most of them.
        "-report_slow_units=20".into(),
    ]);
    if limit.runs > 0 {
        command.arg(format!("-runs={}", limit.runs));
    }
    if limit.seconds > 0 {
        command.arg(format!("-max_total_time={}", limit.seconds));
    }
    command.arg(&work).arg(corpora::kept(target));
    let begun = Instant::now();
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut figure = Figure { name: target.name.into(), ..Figure::default() };
    let stderr = child.stderr.take().ok_or("no output to read")?;
    let mut last = Vec::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = line.map_err(|error| error.to_string())?;
        let line = String::from_utf8_lossy(&line).into_owned();
        figure.read(&line);
        last.push(line);
        if last.len() > 400 {
            last.drain(..300);
        }
    }
    let on_a_processor = processor_seconds(child.id());
    let status = child.wait().map_err(|error| error.to_string())?;
    figure.seconds = begun.elapsed().as_secs_f64().min(on_a_processor.unwrap_or(f64::INFINITY));
    figure.findings = (corpora::count(&findings) - before) as u64;
    if !status.success() {
        eprintln!("{}: stopped\n{}", target.name, last[last.len().saturating_sub(40)..].join("\n"));
        figure.findings = figure.findings.max(1);
    }
    if figure.edges == 0 {
        return Err(format!("{}: no edges are seen, so that the fuzzer is blind", target.name));
    }
    Ok(figure)
}

/// For how long a child, which nobody has waited for yet, had a processor. Where others had it for most of an
/// hour, it was not fuzzed for an hour. Linux alone tells, in hundredths of a second (`proc_pid_stat(5)`).
fn processor_seconds(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may have spaces and brackets; behind it, the third field comes first.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(14 - 3);
    let mut hundredths = || fields.next()?.parse::<f64>().ok();
    Some((hundredths()? + hundredths()?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::processor_seconds;
    use std::process::Command;

    #[test]
    #[cfg(target_os = "linux")]
    fn one_that_sleeps_has_no_processor() {
        let mut child = Command::new("sleep").arg("0.3").spawn().expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(500));
        let seconds = processor_seconds(child.id());
        child.wait().expect("it ended");
        assert!(seconds.is_some_and(|seconds| seconds < 0.3), "{seconds:?}");
    }
}
