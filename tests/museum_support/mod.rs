//! What the museum of bugs is made of: pages, a tree with all bugs in it, runs of the tests, a matrix.

pub(crate) mod left_out;
pub(crate) mod matrix;
pub(crate) mod page;
pub(crate) mod run;
pub(crate) mod tree;
