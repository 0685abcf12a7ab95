//! What the command says about itself.

use crate::user::{User, names};

const VERBS: [&str; 30] = [
    "set",
    "get",
    "exists",
    "rm",
    "scan",
    "batch",
    "import",
    "export",
    "shell",
    "stats",
    "compact",
    "flush",
    "sync",
    "checkpoint",
    "migrate",
    "options",
    "verify",
    "repair",
    "inspect",
    "explain",
    "find",
    "levels",
    "bench",
    "compare",
    "advise",
    "trace",
    "crash",
    "torture",
    "completions",
    "man",
];

const LATER: [&str; 1] = ["serve"];

#[test]
fn every_command_has_a_help_with_an_example() {
    User::each(|user| {
        let help = String::from_utf8(user.line("--help").stdout).unwrap();
        assert!(help.contains("[env: KVS_PATH") && help.contains("[env: KVS_ENGINE"), "{help}");
        for verb in VERBS {
            assert!(help.contains(&format!("\n  {verb} ")), "{verb}");
            for line in [format!("{verb} --help"), format!("{verb} -h"), format!("help {verb}")] {
                let answer = user.line(&line);
                assert_eq!(answer.code, Some(0), "{line}");
                let text = String::from_utf8(answer.stdout).unwrap();
                assert!(text.contains("Example") && text.contains(&format!("kvs {verb}")), "{line}: {text}");
            }
        }
        for verb in LATER {
            assert!(!help.contains(&format!("\n  {verb} ")), "{verb}");
            user.line(verb).fails(2, "unrecognized");
        }
    });
}

// The commands below a command had none.
#[test]
fn every_command_below_a_command_has_an_example() {
    User::each(|user| {
        for verb in ["explain get", "explain scan", "trace record", "trace replay", "trace show"] {
            for help in ["-h", "--help"] {
                let text = String::from_utf8(user.line(&format!("{verb} {help}")).stdout).unwrap();
                let (_, examples) = text.split_once("Example").expect(verb);
                assert!(examples.contains(verb.split(' ').next_back().unwrap()), "{verb}: {text}");
            }
        }
    });
}

#[test]
fn completions_for_every_shell() {
    User::each(|user| {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let answer = user.line(&format!("completions {shell}"));
            assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{shell}");
            assert!(String::from_utf8(answer.stdout).unwrap().contains("if-absent"), "{shell}");
        }
        // The names of engines were left to be remembered.
        let script = String::from_utf8(user.line("completions bash").stdout).unwrap();
        assert!(script.contains("compgen -W \"bitcask lsm memory\""), "{script}");
        user.line("completions tcsh").fails(2, "possible values");
        assert!(user.names().is_empty());
    });
}

#[test]
fn a_page_of_the_manual_for_every_command() {
    User::each(|user| {
        let page = String::from_utf8(user.line("man").stdout).unwrap();
        assert!(page.contains(".TH kvs 1") && page.contains("KVS_PATH"), "{page}");
        user.line("man share/man1").prints("");
        let mut pages: Vec<_> = VERBS.iter().map(|verb| format!("kvs-{verb}.1")).collect();
        pages.extend(["kvs.1", "kvs-explain-get.1", "kvs-explain-scan.1"].map(String::from));
        pages.extend(["record", "replay", "show"].map(|what| format!("kvs-trace-{what}.1")));
        pages.sort();
        assert_eq!(names(&user.path("share/man1")), pages);
        assert_eq!(user.read("share/man1/kvs.1"), page.as_bytes());
    });
}
