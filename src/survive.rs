//! Survival, as a tool: what a store does when the process dies, the power goes, the disk fails.
//!
//! The engines' own tests ask the same. This room makes it a thing that anybody can run, on a store of any
//! shape, and see: the command line's `kvs crash` and `kvs torture` are one call each into it, and the
//! tests stand on the same parts.

mod caught;
pub mod crash;
pub mod engine;
pub mod error;
pub mod history;
pub mod linear;
pub mod lives;
pub mod model;
pub mod oracle;
pub mod script;
pub mod sites;
pub mod step;
pub mod torture;
pub mod workloads;
