//! `kvs completions` and `kvs man`: what the command knows about itself.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place;
use crate::cli::session::Session;
use crate::cli::stream::Target;
use crate::vfs::dir::Dir;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man as Page;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Print the completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs completions bash > ~/.local/share/bash-completion/completions/kvs
  kvs completions zsh > ~/.zfunc/_kvs
  kvs completions fish > ~/.config/fish/completions/kvs.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, session: &mut Session, mut command: Command) -> Result<Outcome, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "kvs", &mut script);
        session.out.raw(&script)?;
        Ok(Outcome::Done)
    }
}

/// Print the manual page, or write all of them into a directory
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs man | man -l -
  kvs man ~/.local/share/man/man1      kvs.1, and one page for each command")]
pub(crate) struct Man {
    /// Where the pages go
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, session: &mut Session, command: Command) -> Result<Outcome, Failure> {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        match self.dir {
            None => session.out.raw(&render(command)?)?,
            Some(dir) => {
                Dir::new(place::disk(), &dir).create_all()?;
                write_all(&dir, command)?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Writes the page of a command, and those of the commands below it.
fn write_all(dir: &Path, command: Command) -> Result<(), Failure> {
    // What is recorded has its pages as a command of its own.
    if command.get_name() != "record" {
        command.get_subcommands().try_for_each(|verb| write_all(dir, verb.clone()))?;
    }
    write(dir, command)
}

fn write(dir: &Path, command: Command) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    let mut file = Target::create(&path)?;
    let written = file.write_all(&render(command)?).and_then(|()| file.finish());
    written.map_err(|e| Failure::output(&path.display().to_string(), e))
}

fn render(command: Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Page::new(command).render(&mut page).map_err(|e| Failure::output("the page", e))?;
    Ok(page)
}
