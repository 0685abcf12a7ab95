//! `kvs shell`: the same verbs, one a line, on a store that stays open.

mod line;
mod source;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::levels::Levels;
use crate::cli::place::Need;
use crate::cli::session::Session;
use crate::cli::shell::line::{Dot, Entry};
use crate::cli::shell::source::Source;
use crate::cli::stats::StatsVerb;
use clap::Args;
use std::time::Instant;

/// Read commands line by line; a typo never ends it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs shell
  printf 'set tea green\\nget tea\\n' | kvs shell

A line is a command with its arguments, quoted as in a shell: set, get, exists, rm, scan, batch,
import, export, stats, compact, flush, sync, checkpoint, options, verify, inspect, find, explain,
levels; --json, --enc and -0 go with each. Also .stats, .levels, .timing (how long each line
takes), .help and .exit. On a terminal lines can be edited, and are kept in
$XDG_STATE_HOME/kvs/history or ~/.local/state/kvs/history.

The exit code of a script is that of the worst it met: 4 for damage, 3 for a failure of the disk
or the store, and for a write with --read-only; a typo or a key that is not there is neither.")]
pub(crate) struct Shell {}

impl Shell {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        session.become_shell();
        // A store that can not be opened is told now, and not at each line.
        session.existing(Need::Read)?;
        let mut source = Source::standard();
        let mut timing = false;
        let (mut number, mut worst) = (0, Outcome::Done);
        while let Some(text) = source.next()? {
            number += 1;
            interrupt::forget();
            let begun = Instant::now();
            match obey(session, &text, &mut timing) {
                Ok(Next::Line(outcome)) => worst = worst.max(outcome),
                Ok(Next::End) => break,
                Err(Failure::ClosedPipe) => return Err(Failure::ClosedPipe),
                Err(failure) if failure.is_interrupt() && !source.is_terminal() => return Err(failure),
                Err(failure) => {
                    worst = worst.max(failure.outcome());
                    let line = (!source.is_terminal()).then_some(number);
                    session.voice.about_line(line).fail(&failure);
                }
            }
            if timing {
                session.voice.note(&format!("{:.3?}", begun.elapsed()));
            }
        }
        // A person has read what went wrong; who runs a script reads the exit code. That a key is not there, or
        // a line is mistyped, is no failure of the script.
        Ok(if source.is_terminal() || worst == Outcome::NotThere { Outcome::Done } else { worst })
    }
}

/// What comes after a line.
enum Next {
    Line(Outcome),
    End,
}

/// Does what a line says.
fn obey(session: &mut Session, text: &[u8], timing: &mut bool) -> Result<Next, Failure> {
    let done = match line::read(text)? {
        Entry::Nothing => Ok(Outcome::Done),
        Entry::Said(text) => session.out.text(&text).map(|()| Outcome::Done),
        Entry::Dot(Dot::Exit) => return Ok(Next::End),
        Entry::Dot(Dot::Help) => session.out.text(&line::help()).map(|()| Outcome::Done),
        Entry::Dot(Dot::Stats) => StatsVerb::default().run(session),
        Entry::Dot(Dot::Levels) => Levels::default().run(session),
        Entry::Dot(Dot::Timing) => {
            *timing = !*timing;
            Ok(Outcome::Done)
        }
        Entry::Verb(style, verb) => {
            let usual = session.style.clone();
            session.restyle(usual.with(style));
            let done = verb.run(session);
            session.restyle(usual);
            done
        }
    };
    // What was printed before a failure stands before it.
    session.out.flush()?;
    done.map(Next::Line)
}
