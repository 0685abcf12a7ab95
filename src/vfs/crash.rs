//! Every disk that a crash could leave, worked out from a recording.

pub mod budget;
mod dice;
mod explorer;
mod model;
pub mod state;
#[cfg(test)]
mod tests;
pub mod timeline;

use crate::vfs::crash::budget::Budget;
use crate::vfs::crash::dice::Dice;
use crate::vfs::crash::explorer::Explorer;
use crate::vfs::crash::model::{Fate, Model};
use crate::vfs::crash::state::{Report, State};
use crate::vfs::memory::image::Image;
use crate::vfs::memory::recording::Recording;

/// Shows a judge every disk that a crash could have left at any moment of the recording, within the
/// budget, and reports where it objected. A judge that panics objects.
///
/// # The model
///
/// 1. A change of a file's bytes is pending until a sync of that file, a change of a name until a
///    sync of its directory. Syncing a file does not sync its name.
/// 2. At a power cut any part of what is pending may be on the device, in any order. Where a later
///    write is there and an earlier one is not, there is a gap of zeros, or of what was there.
/// 3. A write may be there in part; a rename is there or not.
/// 4. A name points to a file, whatever it was called at the time: with a `create` lost and the
///    `rename` kept, the new name has the file.
///
/// A cut falls after each operation, and after each acknowledgement, which raises what must be
/// found. At each cut it shows the whole disk (a killed process); then power cuts: each prefix of
/// what is pending; each pending operation as the only one lost, and as the only one kept;
/// all bytes without names and the reverse; each file's bytes as the only ones lost or kept;
/// writes torn, or with their lengths alone; every subset where they are few; and random ones. What
/// an earlier cut has shown by the same measure is not worked out again.
///
/// Not in the model: bytes of other files in a gap, and devices that lie about a sync.
///
/// # States are judged once
///
/// ... for each pair of image and [`State::lo`]. [`State::hi`] is left out of that on purpose: it
/// only grows, so the first judgement was the strictest. A judge must therefore allow with a higher
/// `hi` whatever it allows with a lower one.
///
/// ```
/// use kvs::vfs::crash::{budget::Budget, explore};
/// use kvs::vfs::memory::{SimDisk, recording::Mark};
/// use kvs::vfs::{Cause, Vfs};
///
/// let disk = SimDisk::new();
/// disk.mark(Mark::Issue(1));
/// let log = disk.create("/log".as_ref(), Cause::Log)?;
/// log.append(b"one")?;
/// log.sync()?;
/// disk.mark(Mark::Ack(1)); // a lie: the name is not durable yet
///
/// let report = explore(&disk.recording(), &Budget::default(), |state| {
///     // An engine's test opens the engine on SimDisk::from_image(&state.image, Record::Off) here.
///     match state.image.get("/log") {
///         Some(b"one") => Ok(()),
///         _ if state.lo() == 0 => Ok(()),
///         _ => Err("an acknowledged write is gone".into()),
///     }
/// });
/// assert_eq!(report.violations.len(), 1, "{report}");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn explore(
    recording: &Recording,
    budget: &Budget,
    judge: impl FnMut(&State<'_>) -> Result<(), String>,
) -> Report {
    Explorer::new(recording, budget, judge).run()
}

/// One disk that a power cut at the end of the recording could have left. The seed says which: all that was
/// not synced is lost, or each operation is there or not, or each file up to some point; writes may be
/// torn.
pub fn power_cut(recording: &Recording, seed: u64) -> Image {
    let mut model = Model::new(recording);
    for (index, op) in recording.ops().iter().enumerate() {
        model.step(index, op);
    }
    let pending = model.pending();
    let mut fates = vec![Fate::Lost; pending.len()];
    let mut dice = Dice::new(seed, Budget::default().tears_per_write);
    match dice.below(8) {
        0 => {}
        1..=3 => dice.operations(pending, &mut fates),
        _ => dice.prefixes(pending, &mut fates),
    }
    model.image(&fates)
}
