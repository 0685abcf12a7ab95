//! libFuzzer on the target `log`.

fn main() {
    kvs_fuzz::log();
}
