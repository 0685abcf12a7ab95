//! libFuzzer on the target `compress`.

fn main() {
    kvs_fuzz::compress();
}
