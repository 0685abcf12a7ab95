//! libFuzzer on the target `inspect`.

fn main() {
    kvs_fuzz::inspect();
}
