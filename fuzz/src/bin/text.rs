//! libFuzzer on the target `text`.

fn main() {
    kvs_fuzz::text();
}
