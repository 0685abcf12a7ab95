//! libFuzzer on the target `manifest`.

fn main() {
    kvs_fuzz::manifest();
}
