//! libFuzzer on the target `batch`.

fn main() {
    kvs_fuzz::batch();
}
