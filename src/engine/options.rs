//! How a store is opened and how a write is made: what both engines take.

use crate::engine::event::Listener;
use crate::error::{Error, Result};
use crate::vfs::Vfs;
use crate::vfs::os::OsDisk;
use crate::worker::Schedule;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// When a write is acknowledged. The same words mean the same in both engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the device. Survives a power cut. Writers that come together share a sync.
    Always,
    /// When the operating system has it; the log is synced in the background when this much time has
    /// passed. A power cut takes at most about that much. The store's interval is the one that counts: a write
    /// that asks for a shorter one, or for any where nothing is synced in the background, is synced at once.
    Interval(Duration),
    /// When the operating system has it. Survives the death of the process; a power cut takes what
    /// the system had not written yet, from the end.
    #[default]
    Os,
}

impl Durability {
    /// Whether a write that asks for this has to be durable before it is acknowledged, where a thread syncs
    /// behind it whenever `behind` has passed, if one does.
    pub(crate) fn is_at_once(self, behind: Option<Duration>) -> bool {
        match (self, behind) {
            (Durability::Always, _) | (Durability::Interval(_), None) => true,
            (Durability::Interval(most), Some(behind)) => most < behind,
            (Durability::Os, _) => false,
        }
    }

    /// The time that a write may wait for its sync, if it may and must be synced.
    pub(crate) fn interval(self) -> Option<Duration> {
        match self {
            Durability::Interval(most) => Some(most),
            Durability::Always | Durability::Os => None,
        }
    }
}

impl FromStr for Durability {
    type Err = Error;

    /// `always`, `os`, or `interval:MS`.
    fn from_str(text: &str) -> Result<Durability> {
        match text.split_once(':') {
            None if text == "always" => Ok(Durability::Always),
            None if text == "os" => Ok(Durability::Os),
            Some(("interval", ms)) => match ms.parse() {
                Ok(ms @ 1..=3_600_000) => Ok(Durability::Interval(Duration::from_millis(ms))),
                _ => Err(Error::invalid(format!("interval:{ms}: 1 to 3600000 milliseconds"))),
            },
            _ => Err(Error::invalid(format!("{text}: one of always, interval:MS, os"))),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::Always => f.write_str("always"),
            Durability::Interval(time) => write!(f, "interval:{}", time.as_millis()),
            Durability::Os => f.write_str("os"),
        }
    }
}

/// How one write is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// How durable it is when it returns; `None`: as the store was opened with.
    pub durability: Option<Durability>,
}

impl WriteOptions {
    /// On the device before it returns.
    pub fn durable() -> WriteOptions {
        WriteOptions { durability: Some(Durability::Always) }
    }
}

/// What a handle may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read and write; the store is made if there is none.
    #[default]
    Create,
    /// Read and write a store that is there.
    Write,
    /// Read a store that is there. Not a byte of the directory changes: a torn tail is skipped in
    /// memory, and nothing is compacted. Many readers may be in at once, but none beside a writer.
    Read,
}

/// How a store is opened, in either engine.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The disk; the operating system's by default.
    pub disk: Arc<dyn Vfs>,
    /// What the handle may do.
    pub access: Access,
    /// How durable writes are that do not say it themselves.
    pub durability: Durability,
    /// Where background work runs.
    pub schedule: Schedule,
    /// Told what happens: recovery, rotation, compaction, trouble.
    pub listener: Listener,
    /// The identity that a new store gets; drawn at random by default. Checksums are salted and keys
    /// are hashed with it, so that runs that must be equal to the byte set it.
    pub store_id: Option<u64>,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            disk: Arc::new(OsDisk),
            access: Access::default(),
            durability: Durability::default(),
            schedule: Schedule::default(),
            listener: Listener::default(),
            store_id: None,
        }
    }
}

/// One option of an engine, for people: `kvs options` prints these.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OptionInfo {
    /// Its name, as in `-o name=value`.
    pub name: &'static str,
    /// What it is when nobody says.
    pub default: String,
    /// What it does and what it costs.
    pub about: &'static str,
}

/// Reads a number of bytes: `4096`, `64KiB`, `1MiB`, `2GiB`; also `64K`, `64k`, `1m`.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(Error::invalid(format!("{text}: a number of bytes, as 4096, 64KiB, 1MiB, 2GiB"))),
    };
    let number: u64 =
        number.parse().map_err(|_| Error::invalid(format!("{text}: does not begin with a number")))?;
    number.checked_mul(1 << shift).ok_or_else(|| Error::invalid(format!("{text}: too large")))
}

/// Reads the value of an option; `form` says what one looks like.
pub fn read_option<T: FromStr>(name: &str, value: &str, form: &str) -> Result<T> {
    value.parse().map_err(|_| Error::invalid(format!("{name}={value}: {form}")))
}

/// Reads the value of an option that is a number of bytes, as [`parse_bytes`].
pub fn read_bytes(name: &str, value: &str) -> Result<u64> {
    parse_bytes(value).map_err(|error| Error::invalid(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{Durability, parse_bytes};

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_bytes("4096").unwrap(), 4096);
        assert_eq!(parse_bytes("64KiB").unwrap(), 65_536);
        assert_eq!(parse_bytes("2g").unwrap(), 2 << 30);
        for wrong in ["", "KiB", "1.5M", "-1", "99999999999999999999", "18446744073709551615K", "3 parsecs"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durability_reads_what_it_prints() {
        for text in ["always", "os", "interval:50"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        for wrong in ["", "sometimes", "interval", "interval:0", "interval:x"] {
            assert!(wrong.parse::<Durability>().is_err(), "{wrong}");
        }
    }
}
