//! Progress of long work, on standard error if that is a terminal.

use crate::cli::voice::Voice;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar, a spinner, or nothing. Gone from the screen when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Progress in bytes of `total`, if that is known.
    pub(crate) fn bytes(voice: &Voice, verb: &'static str, total: Option<u64>) -> Progress {
        let template = match total {
            Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes} {msg} {eta}",
            None => "{prefix} {spinner} {bytes} {msg} {elapsed}",
        };
        Progress::new(voice, verb, total, template)
    }

    /// A sign of life beside one long call.
    pub(crate) fn spinner(voice: &Voice, verb: &'static str) -> Progress {
        let progress = Progress::new(voice, verb, None, "{prefix} {spinner} {elapsed}");
        progress.bar.enable_steady_tick(Duration::from_millis(100));
        progress
    }

    /// Words that change, beside what runs.
    pub(crate) fn words(voice: &Voice, verb: &'static str) -> Progress {
        let progress = Progress::new(voice, verb, None, "{prefix} {spinner} {elapsed} {wide_msg}");
        progress.bar.enable_steady_tick(Duration::from_millis(100));
        progress
    }

    /// So far, in words.
    pub(crate) fn say(&self, words: String) {
        self.bar.set_message(words);
    }

    fn new(voice: &Voice, verb: &'static str, total: Option<u64>, template: &str) -> Progress {
        if !voice.draws() {
            return Progress { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_spinner());
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        Progress { bar: bar.with_style(style).with_prefix(verb) }
    }

    /// So far: bytes, and pairs.
    pub(crate) fn at(&self, bytes: u64, pairs: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_position(bytes);
            self.bar.set_message(format!("{pairs} pairs"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
