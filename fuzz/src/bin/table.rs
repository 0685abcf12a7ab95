//! libFuzzer on the target `table`.

fn main() {
    kvs_fuzz::table();
}
