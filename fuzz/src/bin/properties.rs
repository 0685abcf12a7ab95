//! libFuzzer on the target `properties`.

fn main() {
    kvs_fuzz::properties();
}
