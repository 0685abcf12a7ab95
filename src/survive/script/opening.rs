//! How a script's store is opened: what of its options is not the engine's.

use crate::engine::options::Durability;
use crate::error::{Error, Result};
use crate::survive::script::Settings;
use crate::worker::Schedule;

/// What `durability=` and `schedule=` say, which are no options of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Of writes that do not say.
    pub durability: Durability,
    /// Where background work is done.
    pub schedule: Schedule,
}

/// How the store is opened, if nothing is said as `usual`, and the engine's own settings.
///
/// # Errors
/// [`Error::InvalidArgument`] for a durability or a schedule that there is not.
pub fn split(settings: &Settings, usual: Opening) -> Result<(Opening, Settings)> {
    let mut how = usual;
    let mut own = Settings::new();
    for (name, value) in settings {
        match (&name[..], &value[..]) {
            ("durability", value) => how.durability = value.parse()?,
            ("schedule", "inline") => how.schedule = Schedule::Inline,
            ("schedule", "threads") => how.schedule = Schedule::Threads,
            ("schedule", other) => {
                return Err(Error::invalid(format!("schedule={other}: inline or threads")));
            }
            _ => own.push((name.clone(), value.clone())),
        }
    }
    Ok((how, own))
}
