//! Looking again and again, until Ctrl-C: `stats --watch`, `levels --watch`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::session::Session;
use std::time::{Duration, Instant};

/// Reads a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "a number of seconds, as 2 or 0.5")?;
    match Duration::try_from_secs_f64(secs) {
        Ok(time) if !time.is_zero() && time < Duration::from_secs(86_400) => Ok(time),
        _ => Err("more than 0 and less than a day".into()),
    }
}

/// Shows it once, or whenever so much time has passed.
pub(crate) fn show(
    session: &mut Session,
    every: Option<Duration>,
    mut show: impl FnMut(&mut Session) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let Some(every) = every else {
        show(session)?;
        return Ok(Outcome::Done);
    };
    loop {
        // The store is open only while we look, so that writers can come in between.
        match show(session) {
            Err(Failure::Told(told)) if told.kind == "locked" => session.voice.note("a writer is in"),
            other => other?,
        }
        session.out.flush()?;
        wait(every)?;
        if !session.out.is_json() {
            session.out.text("")?;
        }
    }
}

/// Sleeps, but not through an interrupt.
fn wait(time: Duration) -> Result<(), Failure> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        interrupt::check()?;
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    interrupt::check()
}
