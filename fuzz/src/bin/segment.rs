//! libFuzzer on the target `segment`.

fn main() {
    kvs_fuzz::segment();
}
