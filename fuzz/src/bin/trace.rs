//! libFuzzer on the target `trace`.

fn main() {
    kvs_fuzz::trace();
}
