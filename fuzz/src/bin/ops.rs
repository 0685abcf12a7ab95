//! libFuzzer on the target `ops`.

fn main() {
    kvs_fuzz::ops();
}
