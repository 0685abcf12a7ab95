//! The command line from outside, by its exit codes and its words, on every engine.
#![cfg(feature = "cli")]

#[path = "cli/batch.rs"]
mod batch;
#[path = "cli/bytes.rs"]
mod bytes;
#[path = "cli/contract.rs"]
mod contract;
#[path = "cli/conventions.rs"]
mod conventions;
#[path = "cli/crash.rs"]
mod crash;
#[path = "cli/data.rs"]
mod data;
#[path = "cli/lab.rs"]
mod lab;
#[path = "cli/look.rs"]
mod look;
#[path = "cli/manual.rs"]
mod manual;
#[path = "cli/migrate.rs"]
mod migrate;
#[path = "cli/oneshot.rs"]
mod oneshot;
#[path = "cli/picture.rs"]
mod picture;
#[path = "cli/scan.rs"]
mod scan;
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/store.rs"]
mod store;
#[path = "cli/torture.rs"]
mod torture;
#[path = "cli/transfer.rs"]
mod transfer;
#[path = "cli/user.rs"]
mod user;
