//! Ctrl-C: long work stops at the next safe place, and the process exits with 130.
//!
//! Every opening of a store is a recovery, so that stopping anywhere leaves the store whole. Loops
//! still look at the flag, because a loop that stops by itself can say how far it came. Work that
//! does not look (a read from a terminal, one call into an engine) is ended after a moment.

use crate::cli::failure::Failure;
use crate::cli::voice::Voice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static PATIENT: AtomicBool = AtomicBool::new(false);

/// How long work may go on that was asked to stop.
const GRACE: Duration = Duration::from_millis(500);

/// How long the news of a signal may be on their way.
const NEWS: Duration = Duration::from_millis(25);

/// Listens from now on. Where the system has no signals to offer, the default action stays.
pub(crate) fn listen(voice: Voice) {
    let _ = ctrlc::set_handler(move || {
        let again = INTERRUPTED.swap(true, Ordering::Relaxed);
        if PATIENT.load(Ordering::Relaxed) && !again {
            return;
        }
        std::thread::sleep(GRACE);
        voice.fail(&Failure::interrupted());
        std::process::exit(130);
    });
}

/// An interrupt ends the work on the current line, and the process only if that does not stop.
pub(crate) fn end_lines_only() {
    PATIENT.store(true, Ordering::Relaxed);
}

/// Work that looks at the flag often, and cleans up behind itself, is given the time that it needs. A
/// second interrupt ends it where it stands.
pub(crate) fn let_it_end() {
    PATIENT.store(true, Ordering::Relaxed);
}

/// The same for one step, which looks at nothing and is whole or not done.
pub(crate) fn patiently<T>(step: impl FnOnce() -> T) -> T {
    let before = PATIENT.swap(true, Ordering::Relaxed);
    let done = step();
    PATIENT.store(before, Ordering::Relaxed);
    done
}

/// Forgets an interrupt that has done its work.
pub(crate) fn forget() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}

/// Whether the user wants it to stop, asked where a pipe has ended: the same Ctrl-C may have ended who wrote
/// into it, and the news of it may still be on their way to the thread that listens. If not, it takes [`NEWS`].
pub(crate) fn is_or_comes() -> bool {
    if !INTERRUPTED.load(Ordering::Relaxed) {
        std::thread::sleep(NEWS);
    }
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A failure, if the user wants it to stop.
pub(crate) fn check() -> Result<(), Failure> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        true => Err(Failure::interrupted()),
        false => Ok(()),
    }
}
