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
    let status = child.wait().map_err(|error| error.to_string())?;
    figure.seconds = begun.elapsed().as_secs_f64();
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
