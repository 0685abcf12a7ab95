//! What the test files share: the engines that every behaviour runs on, and small words to speak to
//! a store with.

#![allow(dead_code, unused_imports, unused_macros, reason = "what one test file leaves unused, another uses")]

pub(crate) mod buggy;
#[macro_use]
pub(crate) mod engines;
pub(crate) mod source;
pub(crate) mod words;
