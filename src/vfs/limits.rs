//! What the system lets this process have: file descriptors.
//!
//! A store may have more files than a process may have open. Engines have options that say how many they
//! hold; this bounds them where the system gives less.

/// Descriptors left to the rest of the process: directories that are synced, inputs and outputs of a merge,
/// what the program itself has open.
const OTHERS: usize = 24;

/// The most files that a store should hold open beside those that it works on: half of what the process
/// may have, less what others need, and one at least. `usize::MAX` where the system sets no limit.
#[expect(unsafe_code, reason = "getrlimit has no safe wrapper in std")]
pub fn open_files() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of the right type, and is not kept.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if answer != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return usize::MAX;
    }
    let limit = usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX);
    (limit / 2).saturating_sub(OTHERS).max(1)
}
