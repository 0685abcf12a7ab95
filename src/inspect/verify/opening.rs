//! Verify by opening: that an engine would see what the logs say.

use crate::engine::bitcask::keydir::Keydir;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::recover::{Purpose, recover};
use crate::engine::filename;
use crate::engine::range::KeyRange;
use crate::error::Error;
use crate::inspect::look;
use crate::inspect::text::quoted;
use crate::inspect::verify::Verifier;
use std::ops::Bound;

/// Keys that are compared at once.
const PAGE: usize = 4096;

/// Of keys that differ, so many are named.
const NAMED: u64 = 100;

impl Verifier {
    /// Opens the store as an engine does, with its hints, and compares. Whatever opening refuses is
    /// damage, also if nothing above has seen it.
    pub(super) fn opening(&mut self, by_logs: &Keydir) {
        let was_sound = self.report.is_sound();
        match recover(&look::shelf(&self.dir, self.store_id), true, Purpose::Read, 0) {
            Ok(found) if was_sound => self.compare(by_logs, &found.keydir),
            Ok(_) => {}
            Err(_) if !was_sound => {}
            Err(Error::Corruption { path, offset, reason }) => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                self.damage(&name.unwrap_or_default(), offset, format!("opening refuses: {reason}"));
            }
            Err(error) => self.damage("", 0, format!("opening refuses: {error}")),
        }
    }

    fn compare(&mut self, by_logs: &Keydir, opened: &Keydir) {
        let (mut keys, mut wrong) = (0, 0);
        let mut range = KeyRange::all();
        loop {
            let page = by_logs.page(&range, PAGE);
            for i in 0..page.len() {
                let (key, place) = (page.key(i), page.place(i));
                let seen = opened.get(key);
                if seen != Some(place) {
                    wrong += 1;
                    self.name_difference(wrong, key, place, seen);
                }
            }
            keys += page.len() as u64;
            match page.len().checked_sub(1) {
                Some(last) if !page.is_last => range.start = Bound::Excluded(page.key(last).to_vec()),
                _ => break,
            }
        }
        if wrong > NAMED {
            self.damage("", 0, format!("{} more keys are not where the logs say", wrong - NAMED));
        }
        let extra = (opened.footprint().keys + wrong).saturating_sub(keys);
        if opened.footprint().keys > keys {
            self.damage(
                "",
                0,
                format!("opening finds {extra} keys that the logs do not have: the hints lie"),
            );
        }
        self.check("keys", "", keys, 0);
    }

    fn name_difference(&mut self, wrong: u64, key: &[u8], place: Place, seen: Option<Place>) {
        if wrong > NAMED {
            return;
        }
        let name = filename::segment(place.segment.into());
        let seen = match seen {
            Some(seen) => format!("{} at {}", filename::segment(seen.segment.into()), seen.offset),
            None => "nowhere".into(),
        };
        let key = quoted(key, 40);
        self.damage(
            &name,
            place.offset.into(),
            format!("the newest record of {key}; opening finds it {seen}"),
        );
    }
}
