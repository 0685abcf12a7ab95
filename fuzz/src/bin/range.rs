//! libFuzzer on the target `range`.

fn main() {
    kvs_fuzz::range();
}
