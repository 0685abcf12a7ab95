//! Runs targets, each in a process of its own, and tells in a table what came of it.

mod arguments;
mod build;
mod child;
mod corpora;
mod figures;

use crate::targets::{ALL, Target, replay};
use arguments::{Arguments, Mode};
use figures::Figures;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Does what is asked for by words; returns what the process should exit with: 1 if something was found.
///
/// # Errors
/// What keeps it from running, in words.
pub fn run(words: &[String]) -> Result<u8, String> {
    let arguments = Arguments::read(words)?;
    match arguments.mode {
        Mode::List => {
            ALL.iter().for_each(|target| println!("{}", target.name));
            Ok(0)
        }
        Mode::Seed => corpora::seed(&arguments.targets).map(|()| 0),
        Mode::Shrink => corpora::shrink(&arguments.targets, &build::programs(arguments.watch)?).map(|()| 0),
        Mode::Replay => {
            for target in &arguments.targets {
                let kept = replay::replay(target, &corpora::all(), arguments.limit.runs);
                println!("{}: {kept} inputs, {} mutations", target.name, arguments.limit.runs / target.cost);
            }
            Ok(0)
        }
        Mode::Again => {
            child::again(arguments.targets[0], &build::programs(arguments.watch)?, &arguments.files)
        }
        Mode::Fuzz => fuzz(&arguments),
    }
}

fn named(name: &str) -> Result<&'static Target, String> {
    Target::named(name).ok_or_else(|| format!("{name}: no such target; --list names them"))
}

/// Seconds that a target runs at a time, before the next one has its turn. What an end that nobody asked for
/// can take away is not more.
const TURN: u64 = 300;

fn fuzz(arguments: &Arguments) -> Result<u8, String> {
    let programs = build::programs(arguments.watch)?;
    let figures = Figures::of(arguments.json.clone(), arguments.resume);
    let left =
        |figures: &mut Figures, target: &Target| arguments.limit.without(figures.of_target(target.name));
    let waiting: VecDeque<_> = arguments.targets.iter().copied().collect();
    let (waiting, figures) = (Mutex::new(waiting), Mutex::new(figures));
    let next = || waiting.lock().ok()?.pop_front();
    let found = AtomicU64::new(0);
    println!("{}", figures::HEAD);
    let work = || -> Result<(), String> {
        while let Some(target) = next() {
            let figures = || figures.lock().map_err(|_| "a worker died");
            let Some(limit) = left(&mut *figures()?, target) else { continue };
            let figure = child::fuzz(target, &programs, limit.for_a_turn(TURN))?;
            println!("{}", figure.row());
            found.fetch_add(figure.findings, Ordering::Relaxed);
            let is_broken = figure.findings > 0;
            figures()?.add(figure)?;
            if is_broken {
                // It would stop there again.
                continue;
            }
            waiting.lock().map_err(|_| "a worker died")?.push_back(target);
        }
        Ok(())
    };
    std::thread::scope(|scope| -> Result<(), String> {
        let workers: Vec<_> = (0..arguments.jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker died".to_string())?)
    })?;
    let figures = figures.into_inner().map_err(|_| "a worker died")?;
    if let Some(page) = &arguments.notes {
        figures.note(page)?;
    }
    Ok(u8::from(found.into_inner() > 0))
}
