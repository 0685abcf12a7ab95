//! The shortest workload that still breaks a promise.
//!
//! Delta debugging (Zeller and Hildebrandt, 2002): whole stretches of steps are left out, then single ones,
//! then values and batches get smaller, as long as the experiment still finds something. Which promise is
//! broken may change on the way; that one is broken may not.

use crate::survive::crash::forget::Forget;
use crate::survive::crash::{Experiment, first_violation};
use crate::survive::error::Result;
use crate::survive::history::{Begin, Workload};
use crate::survive::step::Step;
use crate::vfs::crash::state::Violation;

/// Workloads that are tried, at most.
const TRIES: usize = 400;

/// A workload that breaks a promise, as short as it gets.
#[derive(Debug)]
pub struct Shortest {
    /// The experiment, with the shortened workload.
    pub experiment: Experiment,
    /// What it finds.
    pub violation: Violation,
    /// How many workloads were tried on the way.
    pub tries: usize,
}

/// Shortens the workload of an experiment that finds a violation; `None` if it finds none. The same
/// experiment always gives the same.
///
/// # Errors
/// What recording the workload can fail with.
pub fn shortest(experiment: &Experiment, forget: Option<&Forget>) -> Result<Option<Shortest>> {
    let Some(violation) = first_violation(experiment, forget)? else { return Ok(None) };
    let mut search =
        Search { best: Shortest { experiment: experiment.clone(), violation, tries: 0 }, forget };
    search.plainer_begin();
    search.fewer_prepared();
    search.fewer_steps();
    search.smaller_steps();
    search.fewer_steps();
    Ok(Some(search.best))
}

struct Search<'a> {
    best: Shortest,
    forget: Option<&'a Forget>,
}

impl Search<'_> {
    fn workload(&self) -> &Workload {
        &self.best.experiment.workload
    }

    /// Takes this workload if it breaks a promise too.
    fn is_taken(&mut self, workload: Workload) -> bool {
        if self.best.tries >= TRIES {
            return false;
        }
        self.best.tries += 1;
        let experiment = Experiment { workload, ..self.best.experiment.clone() };
        // What can not even be recorded is no example.
        let Ok(Some(violation)) = first_violation(&experiment, self.forget) else { return false };
        self.best.experiment = experiment;
        self.best.violation = violation;
        true
    }

    /// Without what was there before, or with the making of the store.
    fn plainer_begin(&mut self) {
        let empty = Workload { begin: Begin::Prepared(Vec::new()), ..self.workload().clone() };
        let is_plain = matches!(&self.workload().begin, Begin::Prepared(steps) if steps.is_empty());
        let none = Workload { begin: Begin::Nothing, ..empty.clone() };
        let _ = is_plain || self.is_taken(empty) || self.is_taken(none);
    }

    fn fewer_prepared(&mut self) {
        let with =
            |workload: &Workload, steps| Workload { begin: Begin::Prepared(steps), ..workload.clone() };
        if let Begin::Prepared(steps) = self.workload().begin.clone() {
            self.fewer(steps, with);
        }
    }

    fn fewer_steps(&mut self) {
        let with = |workload: &Workload, steps| Workload { steps, ..workload.clone() };
        self.fewer(self.workload().steps.clone(), with);
    }

    /// Leaves out stretches of these, each half as long as the one before.
    fn fewer(&mut self, mut steps: Vec<Step>, with: impl Fn(&Workload, Vec<Step>) -> Workload) {
        let mut stretch = steps.len();
        while stretch > 0 {
            let mut at = 0;
            while at < steps.len() {
                let mut fewer = steps.clone();
                fewer.drain(at..(at + stretch).min(steps.len()));
                if self.is_taken(with(self.workload(), fewer.clone())) {
                    steps = fewer;
                } else {
                    at += stretch;
                }
            }
            stretch /= 2;
        }
    }

    fn smaller_steps(&mut self) {
        for at in 0..self.workload().steps.len() {
            while let Some(step) = smaller(&self.workload().steps[at])
                .into_iter()
                .find(|step| self.is_taken(with_step(self.workload(), at, step)))
            {
                debug_assert_eq!(step, self.workload().steps[at]);
            }
        }
    }
}

fn with_step(workload: &Workload, at: usize, step: &Step) -> Workload {
    let mut steps = workload.steps.clone();
    steps[at] = step.clone();
    Workload { steps, ..workload.clone() }
}

/// Steps that do less than this one, the least first.
fn smaller(step: &Step) -> Vec<Step> {
    let Step::Write(members, durability) = step else { return Vec::new() };
    let mut all = Vec::new();
    if members.len() > 1 {
        for at in 0..members.len() {
            let mut fewer = members.clone();
            fewer.remove(at);
            all.push(Step::Write(fewer, *durability));
        }
    }
    for (at, (_, value)) in members.iter().enumerate() {
        let Some(value) = value.as_ref().filter(|value| value.len() > 1) else { continue };
        for len in [1, value.len() / 4, value.len() / 2] {
            let mut shorter = members.clone();
            shorter[at].1 = Some(value[..len.max(1)].to_vec());
            all.push(Step::Write(shorter, *durability));
        }
    }
    all
}
