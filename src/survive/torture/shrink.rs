//! Makes a history that fails as short as it gets, and as plain.
//!
//! Delta debugging: leave out half of the commands, a quarter, ... single ones, for as long as what is left
//! still fails; then the same inside batches, loads and walks; then shorter values, plainer options, nearer
//! faults. Each round begins with what the last one left, until a round changes nothing. Nothing is drawn:
//! the same history is always shrunk to the same one.

use crate::survive::script::{Ack, Command, Crash, Failure, Look, Move, Step};
use crate::survive::torture::history::History;

/// The shortest history found that still `fails`, after at most `tries` attempts.
pub fn shrink(history: &History, tries: u64, fails: impl FnMut(&History) -> bool) -> History {
    let mut shrinker = Shrinker { best: history.clone(), tries, fails };
    loop {
        let before = shrinker.best.clone();
        shrinker.leave_out_commands();
        shrinker.leave_out_options();
        shrinker.simplify_commands();
        if shrinker.best == before || shrinker.tries == 0 {
            return shrinker.best;
        }
    }
}

struct Shrinker<F> {
    best: History,
    tries: u64,
    fails: F,
}

impl<F: FnMut(&History) -> bool> Shrinker<F> {
    /// Takes the candidate if it fails too.
    fn offer(&mut self, candidate: History) -> bool {
        if self.tries == 0 || candidate == self.best {
            return false;
        }
        self.tries -= 1;
        let fails = (self.fails)(&candidate);
        if fails {
            self.best = candidate;
        }
        fails
    }

    fn leave_out_commands(&mut self) {
        let mut chunk = self.best.commands.len().div_ceil(2);
        while chunk > 0 {
            let mut end = self.best.commands.len();
            // From the end: what comes later depends on what comes before.
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let mut candidate = self.best.clone();
                candidate.commands.drain(start..end);
                self.offer(candidate);
                end = start;
            }
            chunk /= 2;
        }
    }

    fn leave_out_options(&mut self) {
        for at in (0..self.best.settings.len()).rev() {
            let mut candidate = self.best.clone();
            candidate.settings.remove(at);
            self.offer(candidate);
        }
    }

    fn simplify_commands(&mut self) {
        for at in (0..self.best.commands.len()).rev() {
            let mut again = true;
            while again && self.tries > 0 {
                let simpler = simpler(&self.best.commands[at]);
                again = simpler.into_iter().any(|command| {
                    let mut candidate = self.best.clone();
                    candidate.commands[at] = command;
                    self.offer(candidate)
                });
            }
        }
    }
}

/// Commands that are a little plainer than this one.
fn simpler(command: &Command) -> Vec<Command> {
    match command {
        Command::Set(ack, key, value) => {
            let usual = (*ack == Ack::Durable).then(|| Command::Set(Ack::Usual, key.clone(), value.clone()));
            let sets = shorter(value).into_iter().map(|value| Command::Set(*ack, key.clone(), value));
            usual.into_iter().chain(sets).collect()
        }
        Command::Remove(Ack::Durable, key) => vec![Command::Remove(Ack::Usual, key.clone())],
        Command::Swap(key, Some(value)) => {
            shorter(value).into_iter().map(|value| Command::Swap(key.clone(), Some(value))).collect()
        }
        Command::Batch(ack, steps) => {
            let mut all: Vec<_> = less(steps).into_iter().map(|steps| Command::Batch(*ack, steps)).collect();
            all.extend(each(steps, simpler_step).into_iter().map(|steps| Command::Batch(*ack, steps)));
            if *ack == Ack::Durable {
                all.push(Command::Batch(Ack::Usual, steps.clone()));
            }
            all
        }
        Command::Load(pairs) => {
            let mut all: Vec<_> = less(pairs).into_iter().map(Command::Load).collect();
            let shorter_pair = |(key, value): &(Vec<u8>, Vec<u8>)| {
                shorter(value).into_iter().map(|value| (key.clone(), value)).collect()
            };
            all.extend(each(pairs, shorter_pair).into_iter().map(Command::Load));
            all
        }
        Command::Look(Some(name), Look::Walk(range, moves)) => {
            let walks = simpler_moves(moves).into_iter();
            walks.map(|moves| Command::Look(Some(name.clone()), Look::Walk(range.clone(), moves))).collect()
        }
        Command::Look(None, Look::Walk(range, moves)) => {
            let walks = simpler_moves(moves).into_iter();
            walks.map(|moves| Command::Look(None, Look::Walk(range.clone(), moves))).collect()
        }
        Command::Options(settings) => less(settings).into_iter().map(Command::Options).collect(),
        Command::Crash(Crash::Power(seed)) => {
            let seeds = (0..12).filter(|smaller| smaller < seed);
            let kill = std::iter::once(Command::Crash(Crash::Kill));
            kill.chain(seeds.map(|seed| Command::Crash(Crash::Power(seed)))).collect()
        }
        Command::Fail(failure) => simpler_failure(*failure).into_iter().map(Command::Fail).collect(),
        _ => Vec::new(),
    }
}

/// Values that are shorter.
fn shorter(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let lens = [0, 1, (value.len() / 2) & !1, value.len().saturating_sub(2)];
    for len in lens {
        if len < value.len() && all.last().is_none_or(|last: &Vec<u8>| last.len() < len) {
            all.push(value[..len].to_vec());
        }
    }
    all
}

/// Lists without one part: a half, or a single one.
fn less<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    let mut all = Vec::new();
    if list.len() > 3 {
        let middle = list.len() / 2;
        all.extend([list[middle..].to_vec(), list[..middle].to_vec()]);
    }
    for at in (0..list.len()).rev() {
        let mut without = list.to_vec();
        without.remove(at);
        all.push(without);
    }
    all
}

/// Lists in which one part is simpler.
fn each<T: Clone>(list: &[T], simpler: impl Fn(&T) -> Vec<T>) -> Vec<Vec<T>> {
    let mut all = Vec::new();
    for (at, one) in list.iter().enumerate() {
        for instead in simpler(one) {
            let mut other = list.to_vec();
            other[at] = instead;
            all.push(other);
        }
    }
    all
}

fn simpler_step(step: &Step) -> Vec<Step> {
    match step {
        Step::Set(key, value) => {
            shorter(value).into_iter().map(|value| Step::Set(key.clone(), value)).collect()
        }
        Step::Remove(_) => Vec::new(),
    }
}

fn simpler_moves(moves: &[Move]) -> Vec<Vec<Move>> {
    let mut all = less(moves);
    all.extend(each(moves, |step| match step {
        Move::Write(step) => simpler_step(step).into_iter().map(Move::Write).collect(),
        _ => Vec::new(),
    }));
    all
}

fn simpler_failure(failure: Failure) -> Vec<Failure> {
    let mut all = Vec::new();
    if failure.is_short {
        all.push(Failure { is_short: false, ..failure });
    }
    if failure.is_lasting {
        all.push(Failure { is_lasting: false, ..failure });
    }
    all.extend((1..failure.nth).map(|nth| Failure { nth, ..failure }));
    all
}

#[cfg(test)]
mod tests {
    use super::shrink;
    use crate::engine::kind::EngineKind;
    use crate::survive::script::{Command, Step};
    use crate::survive::torture::draw::draw;
    use crate::survive::torture::history::History;
    use std::cell::Cell;

    /// A batch that sets a long value and removes another key, behind a flush.
    fn is_it(history: &History) -> bool {
        let flush = history.commands.iter().position(|command| *command == Command::Flush);
        let is_it = |command: &Command| match command {
            Command::Batch(_, steps) => {
                let long = |step: &Step| matches!(step, Step::Set(_, value) if value.len() > 10);
                steps.iter().any(long) && steps.iter().any(|step| matches!(step, Step::Remove(_)))
            }
            _ => false,
        };
        flush.is_some_and(|flush| history.commands[flush..].iter().any(is_it))
    }

    #[test]
    fn what_is_left_is_what_matters() {
        let found = (0..200).map(|number| draw(EngineKind::Lsm, 1, number)).find(is_it).unwrap();
        let tries = Cell::new(0);
        let shrunk = shrink(&found, 2000, |history| {
            tries.set(tries.get() + 1);
            is_it(history)
        });
        let text = shrunk.to_string();
        assert_eq!(shrunk.commands.len(), 2, "{text}");
        let Command::Batch(_, steps) = &shrunk.commands[1] else { panic!("{text}") };
        assert!(steps.len() == 2 && shrunk.settings.is_empty(), "{text}");
        assert!(steps.iter().all(|step| !matches!(step, Step::Set(_, value) if value.len() > 12)), "{text}");
        assert!(tries.get() < 2000, "{} tries", tries.get());
        assert_eq!(shrink(&found, 2000, is_it), shrunk, "the same again");
        assert_eq!(shrink(&found, 0, is_it), found, "nothing was tried");
    }
}
