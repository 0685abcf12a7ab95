//! Tests that mutants are not shown to: of the museum, and of mutants/.

/// They take most of the time: the contract on the real disk and of engines that have no mutants, and what asks
/// for more of the same crashes, errors and lengths. Targets, and parts of names. The
/// museum runs a test that a page names by itself, whether or not it stands here.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    ("contract", "_os::"),
    ("contract", "_os_tiny::"),
    ("contract", "memory::"),
    ("contract", "metered::"),
    ("contract", "scans_beside_writers_see_one_moment"),
    ("crash", "enough_states_are_shown"),
    ("crash", "random_workloads"),
    ("crash", "c14_crash_during_recovery"),
    ("crash", "every_sync_is_accounted_for"),
    ("model", "a_planted_bug_is_found_and_shrunk"),
    ("model", "_os_agrees_with_the_model"),
    ("model", "metered_agrees_with_the_model"),
    ("rows", "s10_"),
    ("damage", "k05_evil_lengths"),
    ("damage", "k06_mapped_files"),
    ("errors", "e03_each_operation_fails"),
    ("errors", "e05_no_space_at_each_operation"),
    ("errors", "e06_interruptions_and_short_reads_are_invisible"),
    ("errors", "e07_open_files_go_on_working"),
    ("errors", "e07_no_descriptors_at_each_operation"),
];
