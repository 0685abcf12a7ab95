//! The engines that faults happen to.
//!
//! A test is a function over an [`Engine`](kvs::survive::engine::Engine), and `on_each_engine!([a, b])`
//! makes it a test of its own on each of them, named `bitcask::a`. A new engine is a line in
//! [`on_each_engine`] and one in [`Engine::all`](kvs::survive::engine::Engine::all).

#![allow(dead_code, unused_macros, reason = "what one test file leaves unused, another uses")]

use kvs::engine::KvsEngine;
use kvs::error::{Error, Result};
use kvs::vfs::Vfs;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use std::sync::Arc;

/// Makes each function over an engine a test on each engine.
macro_rules! on_each_engine {
    ($tests:tt) => {
        on_the_engine!(bitcask, $tests);
        on_the_engine!(lsm, $tests);
    };
}

macro_rules! on_the_engine {
    ($engine:ident, [$($test:ident),* $(,)?]) => {
        mod $engine {
            $(
                #[test]
                fn $test() {
                    super::$test(&kvs::survive::engine::Engine::$engine());
                }
            )*
        }
    };
}

/// A disk without anything on it, which is not recorded.
pub(crate) fn empty_disk() -> SimDisk {
    SimDisk::from_image(&Image::default(), Record::Off)
}

/// All of a disk as one that can be handed to an engine.
pub(crate) fn disk_of(image: &Image) -> Arc<dyn Vfs> {
    Arc::new(SimDisk::from_image(image, Record::Off))
}

/// Why a store could not be opened.
pub(crate) fn refusal(opened: Result<Arc<dyn KvsEngine>>) -> Error {
    opened.map(|_| ()).unwrap_err()
}
