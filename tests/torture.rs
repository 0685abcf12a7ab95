//! Random histories with errors and crashes: short runs, bugs that are planted and must be found, and every
//! history that was ever saved.

#![expect(clippy::disallowed_methods, reason = "saved scripts are read where they lie")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use kvs::engine::kind::EngineKind;
use kvs::survive::torture::site::as_usual;
use kvs::survive::torture::{Limit, Plan, Report, TRIES, run};
use std::ops::ControlFlow;

const ENGINES: [EngineKind; 2] = [EngineKind::Bitcask, EngineKind::Lsm];

fn plan(kind: EngineKind, operations: u64) -> Plan {
    Plan { kind, seed: 1, limit: Limit::Operations(operations), threads: 1, tries: TRIES }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: a number")))
}

fn torture(plan: &Plan) -> Report {
    let report = run(plan, &as_usual, &mut |_| ControlFlow::Continue(()));
    println!(
        "{}: {:?}, {} option sets, {:.0}/s",
        report.engine,
        report.tally,
        report.option_sets,
        report.rate()
    );
    report
}

/// `KVS_TORTURE_OPS` is how many operations; `KVS_TORTURE_SEED` where they come from.
#[test]
fn both_engines_agree_with_the_model() {
    for kind in ENGINES {
        let plan =
            Plan { seed: number("KVS_TORTURE_SEED", 1), ..plan(kind, number("KVS_TORTURE_OPS", 60_000)) };
        let report = torture(&plan);
        if let Some(finding) = report.finding {
            panic!("{kind}, history {}: {:?}\n\n{}", finding.number, finding.difference, finding.script);
        }
    }
}
