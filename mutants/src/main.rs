//! Mutation testing of kvs: all mutants in one build, each behind a number, tried on the tests that reach it.
//!
//! `cargo run --release --manifest-path mutants/Cargo.toml -- --sample 100` tries a hundred that were not tried
//! yet, keeps what came of them in `mutants/outcomes.json`, and writes `notes/mutation.md`.

mod build;
mod list;
mod outcomes;
mod page;
mod reach;
mod rewrite;
mod run;
mod tree;

use crate::list::Mutant;
use crate::outcomes::Outcomes;
use crate::page::Reasons;
use crate::run::{Outcome, Runner};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// Tries small changes of the sources on the tests.
#[derive(Parser)]
struct Arguments {
    /// Try so many, chosen by the seed. Without it, all.
    #[arg(long)]
    sample: Option<usize>,
    /// Chooses the sample, and the order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only mutants whose name holds this.
    #[arg(long)]
    file: Option<String>,
    /// Try survivors again, too.
    #[arg(long)]
    again: bool,
    /// Try survivors that nobody has explained again, and nothing else.
    #[arg(long, conflicts_with = "again")]
    survivors: bool,
    /// Ask the unit tests alone. What survives them is tried again without this.
    #[arg(long)]
    unit: bool,
    /// How many mutants run at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Print the mutants and what came of them, and run none.
    #[arg(long)]
    list: bool,
    /// Write the page from the outcomes, and run none.
    #[arg(long)]
    page: bool,
}

fn main() -> ExitCode {
    match tried(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tried(arguments: &Arguments) -> Result<(), String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().ok_or("the crate stands in the repository")?;
    let mutants = list::list(root)?;
    let reasons = page::reasons(&here.join("explained.txt"))?;
    let mut outcomes = Outcomes::open(&here.join("outcomes.json"))?;
    if arguments.list {
        print(&mutants, &outcomes, arguments);
        return Ok(());
    }
    if !arguments.page {
        outcomes.keep_only(&mutants);
        let choose = |outcomes: &Outcomes| chosen(&mutants, outcomes, &reasons, arguments);
        outcomes = run_all(root, &mutants, outcomes, arguments, &choose)?;
        outcomes.save()?;
    }
    page::write(&root.join("notes/mutation.md"), &mutants, &outcomes, &reasons)?;
    println!("{}", page::summary(&mutants, &outcomes, &reasons));
    Ok(())
}

fn print(mutants: &[Mutant], outcomes: &Outcomes, arguments: &Arguments) {
    for mutant in mutants.iter().filter(|mutant| is_wanted(mutant, arguments)) {
        let outcome = outcomes.of(mutant).map(|tried| format!("{:?}", tried.outcome));
        println!("{}: {}", outcome.as_deref().unwrap_or("not tried yet"), mutant.name);
    }
}

fn is_wanted(mutant: &Mutant, arguments: &Arguments) -> bool {
    arguments.file.as_ref().is_none_or(|file| mutant.name.contains(file))
}

/// Builds the tree, and tries what is to be tried.
fn run_all<'m>(
    root: &Path,
    mutants: &'m [Mutant],
    mut outcomes: Outcomes,
    arguments: &Arguments,
    choose: &dyn Fn(&Outcomes) -> Vec<&'m Mutant>,
) -> Result<Outcomes, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let work = target.join("mutants");
    let known = |known: &Outcome| {
        let is_known = |mutant: &&Mutant| outcomes.of(mutant).is_some_and(|tried| tried.outcome == *known);
        mutants.iter().filter(is_known).map(|mutant| mutant.number).collect()
    };
    let (unviable, fixed) = (known(&Outcome::Unviable), known(&Outcome::Fixed));
    let mut built = build::check(root, &work, mutants, unviable, fixed)?;
    for mutant in mutants {
        if built.unviable.contains(&mutant.number) {
            outcomes.put(mutant, Outcome::Unviable, 0.0);
        } else if built.fixed.contains(&mutant.number) {
            outcomes.put(mutant, Outcome::Fixed, 0.0);
        }
    }
    outcomes.save()?;
    let targets = if arguments.unit { &build::TARGETS[..1] } else { build::TARGETS };
    build::build(&mut built, &work, targets)?;
    let tests = reach::tests(&built, &Runner::new(&built, &work, 0)?, &work)?;
    let queue = Mutex::new(choose(&outcomes));
    let outcomes = Mutex::new(outcomes);
    let one_runner = |number: usize| -> Result<(), String> {
        let runner = Runner::new(&built, &work, number)?;
        while let Some(mutant) = queue.lock().expect("no runner panics").pop() {
            let begun = Instant::now();
            let outcome = match runner.try_mutant(mutant.number, &tests)? {
                Outcome::Survived | Outcome::Unreached if arguments.unit => Outcome::SurvivedUnitTests,
                outcome => outcome,
            };
            let seconds = begun.elapsed().as_secs_f64();
            println!("{seconds:6.1} s  {}  {outcome:?}", mutant.name);
            let mut outcomes = outcomes.lock().expect("no runner panics");
            let known = outcomes.of(mutant).map(|tried| &tried.outcome);
            // What survived everything is no less so for having survived a part again.
            if outcome != Outcome::SurvivedUnitTests || !matches!(known, Some(Outcome::Survived)) {
                outcomes.put(mutant, outcome, seconds);
                outcomes.save()?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let started: Vec<_> =
            (1..=usize::from(arguments.jobs)).map(|n| scope.spawn(move || one_runner(n))).collect();
        started.into_iter().try_for_each(|runner| runner.join().expect("a runner panicked"))
    })?;
    Ok(outcomes.into_inner().expect("no runner panics"))
}

/// The mutants to try, in an order that follows from the seed, the last first.
fn chosen<'m>(
    mutants: &'m [Mutant],
    outcomes: &Outcomes,
    reasons: &Reasons,
    arguments: &Arguments,
) -> Vec<&'m Mutant> {
    // Nothing tells those that are explained: running all tests for each of them would show no more.
    let is_explained = |mutant: &Mutant| reasons.contains_key(&mutant.title) && !arguments.again;
    let is_asked_again = arguments.again || arguments.survivors;
    let is_due = |mutant: &&Mutant| match outcomes.of(mutant).map(|tried| &tried.outcome) {
        None => !arguments.survivors,
        Some(_) if is_explained(mutant) => false,
        Some(Outcome::SurvivedUnitTests) => !arguments.unit || is_asked_again,
        Some(Outcome::Survived | Outcome::Unreached) => is_asked_again,
        Some(_) => false,
    };
    let wanted = mutants.iter().filter(|mutant| is_wanted(mutant, arguments));
    let mut due: Vec<_> = wanted.filter(is_due).collect();
    due.sort_by_key(|mutant| list::hash(format!("{} {}", arguments.seed, mutant.key).as_bytes()));
    due.truncate(arguments.sample.unwrap_or(usize::MAX));
    due.reverse();
    due
}
