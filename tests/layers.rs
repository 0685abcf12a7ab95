//! The floors and walls of the house: what may import what.
//!
//! Reads the paths that the files of `src/` name. Each wall is a test, and each is shown a planted
//! violation, so that it can fail. The picture is in `notes/architecture.md`.

mod common;

use common::source::{code, paths, rust_files, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Who stands where. An entry is a room: a file and the folder of its name. The longest that fits
/// counts. An import goes to a lower floor, or stays in its room.
const FLOORS: &[(&str, u32)] = &[
    ("bin/kvs", 80),
    ("lib", 75),
    ("cli", 70),
    ("inspect", 65),
    ("survive", 63),
    ("engine/migrate", 62),
    ("engine/kind", 60),
    ("server", 50),
    ("bench", 62),
    ("engine/bitcask", 50),
    ("engine/lsm", 50),
    ("engine/memory", 50),
    ("engine/metered", 50),
    // The waist: the contract, and what both wings' front doors stand on.
    ("engine/load", 47),
    ("engine", 45),
    ("engine/claim", 40),
    ("engine/background", 40),
    ("engine/commit", 40),
    ("engine/request", 40),
    ("engine/catalog", 38),
    ("engine/manifest", 35),
    ("engine/identity", 30),
    ("engine/batch", 30),
    ("engine/options", 30),
    ("record", 30),
    ("vfs", 20),
    ("codec", 20),
    ("worker", 20),
    ("engine/health", 20),
    ("sync", 5),
    ("dice", 5),
    ("engine/range", 10),
    ("engine/explain", 10),
    ("engine/stats", 10),
    ("engine/event", 10),
    ("engine/filename", 10),
    ("engine/value", 10),
    ("error", 10),
];

/// The files of the crate, by their modules' paths: `engine/range`.
struct House {
    files: BTreeMap<String, String>,
}

/// One file names something of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: String,
    to: String,
    path: String,
}

impl House {
    fn real() -> House {
        let src = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = rust_files(&src);
        let module = |name: &str| name.trim_end_matches(".rs").to_string();
        House { files: files.iter().map(|(name, text)| (module(name), code(text))).collect() }
    }

    /// The real house with all its rooms, and one more line in a file, which is made if there is none.
    fn with(file: &str, line: &str) -> House {
        let mut house = House::real();
        for (room, _) in FLOORS {
            house.files.entry((*room).to_string()).or_default();
        }
        let text = house.files.entry(file.to_string()).or_default();
        *text += &code(&format!("\n{line}\n"));
        house
    }

    fn imports(&self) -> BTreeSet<Import> {
        self.files.keys().flat_map(|from| self.imports_of(from)).collect()
    }

    fn imports_of(&self, from: &str) -> Vec<Import> {
        let named = paths(&self.files[from]).into_iter().filter_map(|path| self.resolve(from, &path));
        let import = |(to, path)| Import { from: from.to_string(), to, path };
        named.map(import).filter(|import| import.to != from).collect()
    }

    /// The file that a path leads to, and the path from the crate's root; `None` if it leaves the
    /// crate, or begins with something that is no module.
    fn resolve(&self, from: &str, path: &[String]) -> Option<(String, String)> {
        let mut here: Vec<String> = match from {
            "lib" | "bin/kvs" => Vec::new(),
            _ => from.split('/').map(str::to_string).collect(),
        };
        let mut rest = path;
        match path[0].as_str() {
            "crate" if from != "bin/kvs" => {
                here.clear();
                rest = &path[1..];
            }
            "kvs" if from == "bin/kvs" => rest = &path[1..],
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                let module = [&here[..], &[child.to_string()]].concat().join("/");
                if from == "bin/kvs" || !self.files.contains_key(&module) {
                    return None;
                }
            }
        }
        here.extend(rest.iter().cloned());
        let full = here.join("::");
        while !here.is_empty() && !self.files.contains_key(&here.join("/")) {
            here.pop();
        }
        let file = if here.is_empty() { "lib".to_string() } else { here.join("/") };
        Some((file, full))
    }

    /// The imports that break a rule, for people.
    fn broken(&self, rule: impl Fn(&Import) -> bool) -> Vec<String> {
        let broken = self.imports().into_iter().filter(|import| rule(import));
        broken.map(|import| format!("{} names {}", import.from, import.path)).collect()
    }

    /// The files that name a path that begins so.
    fn naming(&self, begin: &[&str]) -> Vec<String> {
        let names = |text: &str| {
            paths(text).iter().any(|path| path.len() >= begin.len() && path[..begin.len()] == *begin)
        };
        self.files.iter().filter(|(_, text)| names(text)).map(|(file, _)| file.clone()).collect()
    }
}

/// Whether the file is this one, or below it.
fn is_in(file: &str, room: &str) -> bool {
    file.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_in_any(file: &str, rooms: &[&str]) -> bool {
    rooms.iter().any(|room| is_in(file, room))
}

/// The room that a file stands in, and its floor.
fn floor(file: &str) -> Option<(&'static str, u32)> {
    // The waist is a file, not everything below it: a new file of `engine/` needs a floor of its own.
    let fits = |room: &str| if room == "engine" { file == room } else { is_in(file, room) };
    FLOORS.iter().copied().filter(|(room, _)| fits(room)).max_by_key(|(room, _)| room.len())
}

fn the_wings_import_each_other(house: &House) -> Vec<String> {
    let (bitcask, lsm) = ("engine/bitcask", "engine/lsm");
    house.broken(|i| {
        is_in(&i.from, bitcask) && is_in(&i.to, lsm) || is_in(&i.from, lsm) && is_in(&i.to, bitcask)
    })
}

fn an_engine_imports_its_users(house: &House) -> Vec<String> {
    house.broken(|i| {
        is_in(&i.from, "engine") && is_in_any(&i.to, &["server", "bench", "survive", "inspect", "cli"])
    })
}

fn the_record_log_imports_the_engine(house: &House) -> Vec<String> {
    house.broken(|i| is_in(&i.from, "record") && is_in(&i.to, "engine"))
}

fn the_disk_imports_more_than_errors(house: &House) -> Vec<String> {
    house.broken(|i| is_in(&i.from, "vfs") && !is_in_any(&i.to, &["vfs", "error"]))
}

fn somebody_else_touches_the_file_system(house: &House) -> Vec<String> {
    // A user's own file, to import from or to export to, is no file of a store.
    let may = |file: &String| file == "vfs/os" || file == "cli/stream";
    house.naming(&["std", "fs"]).into_iter().filter(|file| !may(file)).collect()
}

fn somebody_else_names_both_wings(house: &House) -> Vec<String> {
    let names = |file: &str, wing: &str| house.imports_of(file).iter().any(|i| is_in(&i.to, wing));
    let may = |file: &str| is_in_any(file, &["engine/kind", "inspect", "survive/engine/files", "lib"]);
    let both = |file: &&String| names(file, "engine/bitcask") && names(file, "engine/lsm") && !may(file);
    house.files.keys().filter(both).cloned().collect()
}

fn a_name_comes_from_the_root(house: &House) -> Vec<String> {
    let mut broken = house.broken(|i| i.to == "lib" && i.from != "bin/kvs");
    for (file, text) in house.files.iter().filter(|(file, _)| !is_in_any(file, &["lib", "bin/kvs"])) {
        let tokens = tokens(text);
        let has = |words: &[&str]| tokens.windows(words.len()).any(|window| window == words);
        if has(&["crate", "::", "{"]) || has(&["crate", "::", "*"]) {
            broken.push(format!("{file} imports a bundle from the crate's root"));
        }
        // Passing names on is what this room is for.
        let may = is_in(file, "sync");
        if !may && has(&["pub", "use"]) || has(&["pub", "(", "crate", ")", "use"]) {
            broken.push(format!("{file} passes on names that others own"));
        }
    }
    broken
}

/// Locks, atomics and threads of engines come from `sync`, or the schedules that are explored miss them.
fn an_engine_goes_round_what_threads_meet_at(house: &House) -> Vec<String> {
    let roots: [&[&str]; 4] =
        [&["parking_lot"], &["arc_swap"], &["std", "sync", "atomic"], &["std", "thread"]];
    let found = roots.iter().flat_map(|root| house.naming(root));
    // Words that are laid over mapped memory can be nothing else.
    let mapped = ["engine/lsm/memtable/node", "engine/lsm/memtable/arena"];
    let is_test = |file: &str| file.split('/').any(|part| part == "tests");
    let may = |file: &str| is_in_any(file, &mapped) || is_test(file);
    found.filter(|file| is_in_any(file, &["engine", "worker"]) && !may(file)).collect()
}

fn an_import_points_up(house: &House) -> Vec<String> {
    let mut broken: Vec<_> = house
        .files
        .keys()
        .filter(|file| floor(file).is_none())
        .map(|file| format!("{file} has no floor: give it one in tests/layers.rs"))
        .collect();
    broken.extend(house.broken(|i| match (floor(&i.from), floor(&i.to)) {
        (Some((room, from)), Some((other, to))) => from < to || from == to && room != other,
        _ => false,
    }));
    broken
}

/// Circles that are in the thing itself: a line of the shell is a command, and the shell is one.
const CIRCLES: &[(&str, &str)] = &[("cli/shell/line", "cli")];

/// The imports from which a way leads back; of a room into its own front door, if there are such:
/// these are the ones to cut.
fn files_import_in_a_circle(house: &House) -> Vec<String> {
    let known = |import: &Import| CIRCLES.contains(&(&import.from, &import.to));
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in house.imports().into_iter().filter(|import| !known(import)) {
        edges.entry(import.from).or_default().insert(import.to);
    }
    let reached: BTreeMap<_, _> = edges.keys().map(|from| (from, reach(&edges, from))).collect();
    let comes_back = |from: &String, to: &String| reached.get(to).is_some_and(|all| all.contains(from));
    let pairs = edges.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let mut circles: Vec<_> = pairs.filter(|(from, to)| comes_back(from, to)).collect();
    if circles.iter().any(|(from, to)| is_in(from, to)) {
        circles.retain(|(from, to)| is_in(from, to));
    }
    circles.into_iter().map(|(from, to)| format!("{from} -> {to}")).collect()
}

/// The files to which a way leads from this one.
fn reach(edges: &BTreeMap<String, BTreeSet<String>>, from: &String) -> BTreeSet<String> {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(file) = left.pop() {
        for next in edges.get(file).into_iter().flatten() {
            if seen.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    seen
}

/// A wall: that the house keeps it, and that each planted line breaks it.
macro_rules! walls {
    ($($name:ident: not $breaks:ident, as in [$(($file:literal, $line:literal)),+ $(,)?];)*) => {
        $(
            #[test]
            fn $name() {
                let broken = $breaks(&House::real());
                assert!(broken.is_empty(), "{}:\n  {}", stringify!($breaks), broken.join("\n  "));
                $(
                    let broken = $breaks(&House::with($file, $line));
                    assert_eq!(broken.len(), 1, "planted {}: {}\n{broken:?}", $file, $line);
                )+
            }
        )*
    };
}

walls! {
    wall_1_no_door_between_the_wings: not the_wings_import_each_other, as in [
        ("engine/bitcask/planted", "use crate::engine::lsm::Lsm;"),
        ("engine/lsm", "fn f() { crate::engine::bitcask::keydir::Keydir::new(); }"),
    ];
    wall_2_no_engine_knows_its_users: not an_engine_imports_its_users, as in [
        ("engine/health", "use crate::server::{self};"),
        ("engine", "impl From<crate::cli::Args> for Options {}"),
    ];
    wall_3_the_record_log_knows_no_engine: not the_record_log_imports_the_engine, as in [
        ("record/frame", "use crate::engine::batch::WriteBatch;"),
    ];
    wall_4_the_disk_knows_nothing_above_it: not the_disk_imports_more_than_errors, as in [
        ("vfs/os", "use crate::codec::Reader;"),
        ("vfs", "use super::worker::Schedule;"),
    ];
    wall_5_only_the_real_disk_touches_the_file_system: not somebody_else_touches_the_file_system, as in [
        ("cli", "use std::fs;"),
        ("bench/report", "use std::{fs::File, io};"),
        ("engine/options", "fn f() { std::fs::read(\"x\"); }"),
    ];
    wall_6_one_file_knows_both_wings: not somebody_else_names_both_wings, as in [
        ("bench", "use crate::engine::{bitcask::Bitcask, lsm::Lsm};"),
        ("cli/options", "use crate::engine; fn f() { engine::lsm::open(engine::bitcask::open()) }"),
    ];
    wall_7_names_come_from_their_owners: not a_name_comes_from_the_root, as in [
        ("engine/memory", "use crate::KvsEngine;"),
        ("engine/stats", "use crate::{error, codec};"),
        ("engine/value", "pub use crate::error::Error;"),
    ];
    wall_8_engines_meet_in_one_place: not an_engine_goes_round_what_threads_meet_at, as in [
        ("engine/commit", "use parking_lot::Mutex;"),
        ("worker", "use std::sync::atomic::AtomicBool;"),
        ("engine/lsm/view", "fn f() { std::thread::yield_now() }"),
    ];
    no_import_points_up: not an_import_points_up, as in [
        ("error", "use crate::engine::Cursor;"),
        ("engine/batch", "use crate::engine::options::OpenOptions;"),
        ("engine/memory", "use crate::engine::metered::Metered;"),
        ("engine/newcomer", ""),
    ];
}

#[test]
fn no_files_import_in_a_circle() {
    let circles = files_import_in_a_circle(&House::real());
    assert!(circles.is_empty(), "imports from which a way leads back:\n  {}", circles.join("\n  "));
    let planted = House::with("vfs", "use crate::vfs::os::OsDisk;");
    let circles = files_import_in_a_circle(&planted);
    assert!(circles.contains(&"vfs/os -> vfs".to_string()), "{circles:?}");
}

#[test]
fn the_reader_sees_code_and_nothing_else() {
    let text = r####"
        //! crate::doc::Comment
        use crate::a::{self, b::{C, D as E}, f::*}; // crate::line::Comment
        /* crate::block /* nested */ crate::comment */
        pub fn f<'a>(x: &'a str) -> char { let _ = "crate::string"; let _ = r#"crate::"raw"#; '"' }
        fn g() { E::new(); b'\''; crate::g::h::<crate::i::J>(); self::k::l(); super::m::n() }
        #[cfg(test)]
        mod tests { use crate::t::Test; fn f() { { crate::u::v() } } }
        use std::fs::File;
    "####;
    let found: Vec<_> = paths(&code(text)).iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::a",
        "crate::a::b::C",
        "crate::a::b::D",
        "crate::a::f::*",
        "std::fs::File",
        "crate::a::b::D::new",
        "crate::g::h",
        "crate::i::J",
        "self::k::l",
        "super::m::n",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_reader_finds_what_is_known_to_be_there() {
    let imports = House::real().imports();
    let has = |from: &str, to: &str| imports.iter().any(|i| i.from == from && i.to == to);
    assert!(has("engine/memory", "engine") && has("engine/memory", "engine/range"));
    assert!(has("engine/options", "vfs/os") && has("vfs/dir", "vfs") && has("vfs/dir", "error"));
    assert!(!has("vfs", "vfs/os"), "links in documentation are no imports");
    assert!(imports.len() > 40, "{} imports", imports.len());
}
