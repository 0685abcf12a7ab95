//! libFuzzer on the target `filter`.

fn main() {
    kvs_fuzz::filter();
}
