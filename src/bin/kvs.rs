//! The command `kvs`.

fn main() {}
