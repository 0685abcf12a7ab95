//! kvs is measured with the versions of its dependencies that it is tested with.

use std::collections::BTreeMap;

/// The packages of a lock file: versions by name, and what the one called `kvs` depends on.
fn packages(lock: &str) -> (BTreeMap<&str, Vec<&str>>, Vec<&str>) {
    let (mut versions, mut of_kvs) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.map_or("", |value| value.trim_matches('"'))
        };
        versions.entry(field("name")).or_default().push(field("version"));
        if field("name") == "kvs" {
            let lines = package.lines().filter_map(|line| line.strip_prefix(" \""));
            of_kvs = lines.map(|line| line.trim_end_matches("\",")).collect();
        }
    }
    (versions, of_kvs)
}

#[test]
fn both_lock_files_have_the_same_versions_for_kvs() {
    let (tested, _) = packages(include_str!("../../Cargo.lock"));
    let (measured, of_kvs) = packages(include_str!("../Cargo.lock"));
    assert!(of_kvs.len() >= 10, "{of_kvs:?}");
    for dependency in of_kvs {
        // `name`, or `name version` where the file has several.
        let mut words = dependency.split(' ');
        let name = words.next().expect("a name");
        let version = words.next().unwrap_or_else(|| measured[name][0]);
        assert!(
            tested[name].contains(&version),
            "{name} is {version} here and {:?} at the root: cargo update -p {name} --precise, in peers/",
            tested[name]
        );
    }
}
