//! Workloads in the words of scripts.

use crate::engine::options::Durability;
use crate::engine::range::KeyRange;
use crate::survive::error::{Error, Result};
use crate::survive::history::{Begin, Setting, Workload};
use crate::survive::script::file::Script;
use crate::survive::script::opening::{Opening, split};
use crate::survive::script::{self, Ack, Command};
use crate::survive::step::{Member, Step};
use crate::worker::Schedule;
use std::path::Path;

/// Where checkpoints of a script go: one directory beside the other.
const BESIDE: &str = "/beside";

/// The workload that a script describes, from the making of the store on. What only looks is passed over.
///
/// # Errors
/// [`Error::Plan`] for commands that say how it fails, which is the explorer's part, and for background work in
/// threads, which is not the same each time.
pub fn workload(name: &str, script: &Script, setting: &Setting) -> Result<Workload> {
    let usual = Opening { durability: setting.durability, schedule: Schedule::Inline };
    let (Opening { durability, schedule }, own) = split(&script.options, usual)?;
    if schedule != Schedule::Inline {
        let reason = "schedule=threads: the explorer needs the same recording each time, and threads make others; \
                      leave it out, or run it with `kvs torture --script`";
        return Err(Error::Plan(reason.into()));
    }
    let engine = own.iter().fold(setting.engine.clone(), |engine, (name, value)| engine.with(name, value));
    let commands = script.commands();
    let steps = commands.iter().filter_map(|command| step(command, durability).transpose());
    let steps = steps.collect::<Result<_>>()?;
    let setting = Setting { engine, durability, ..setting.clone() };
    Ok(Workload { name: name.into(), setting, begin: Begin::Nothing, steps })
}

/// `usual` is the durability of writes that do not say.
fn step(command: &Command, usual: Durability) -> Result<Option<Step>> {
    let durability = |ack: Ack| if ack == Ack::Durable { Durability::Always } else { usual };
    Ok(Some(match command {
        Command::Set(ack, key, value) => {
            Step::Write(vec![(key.clone(), Some(value.clone()))], durability(*ack))
        }
        Command::Remove(Ack::Usual, key) => Step::Remove(key.clone()),
        Command::Remove(Ack::Durable, key) => Step::Write(vec![(key.clone(), None)], Durability::Always),
        Command::Swap(key, value) => Step::Swap(key.clone(), value.clone()),
        Command::Batch(ack, steps) => Step::Write(steps.iter().map(member).collect(), durability(*ack)),
        Command::Load(pairs) => Step::Load(pairs.clone()),
        Command::Snapshot(_) => Step::Hold,
        Command::Drop(_) => Step::Release,
        Command::Compact(range) if *range == KeyRange::all() => Step::Compact,
        Command::Compact(range) => Step::CompactRange(range.clone()),
        Command::Flush => Step::Flush,
        Command::Sync => Step::Sync,
        Command::Reopen => Step::Reopen,
        Command::Checkpoint(name) => Step::Checkpoint(format!("{BESIDE}/{name}")),
        // Inline, nothing is left to settle.
        Command::Settle | Command::Look(..) | Command::StatsKeys | Command::Files | Command::Dump(_) => {
            return Ok(None);
        }
        Command::Options(_) | Command::Crash(_) | Command::Fail(_) | Command::Heal => {
            return Err(Error::Plan(format!(
                "{command}: the explorer crashes the store at every operation by itself; `kvs torture --script` \
                 does what such a line says"
            )));
        }
    }))
}

fn member(step: &script::Step) -> Member {
    match step {
        script::Step::Set(key, value) => (key.clone(), Some(value.clone())),
        script::Step::Remove(key) => (key.clone(), None),
    }
}

/// A workload as a script. What was there before stands as a comment above what was recorded.
pub fn text(workload: &Workload) -> String {
    let setting = &workload.setting;
    let mut options: Vec<_> =
        setting.engine.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let is_usual = says_its_durability(workload);
    if is_usual && setting.durability != Durability::Os {
        options.push(format!("durability={}", setting.durability));
    }
    let mut text = format!("engines: {}\noptions: {}\n", setting.engine.name(), options.join(" "));
    match &workload.begin {
        Begin::Nothing => {}
        Begin::Prepared(steps) if steps.is_empty() => text += "\n# Of a store that is there, and empty.\n",
        Begin::Prepared(steps) => {
            text += "\n# This was there, and durable.\n";
            steps.iter().for_each(|step| text += &line(step));
            text += "sync\n\n# This is new.\n";
        }
        Begin::ShortOfAReplacement(_) => text += "\n# Of a store that is about to replace its manifest.\n",
        Begin::Crashed(_) | Begin::Left(_) => text += "\n# Of what a crash has left.\n",
    }
    if !is_usual {
        text += &format!("# Opened with --sync {}.\n", setting.durability);
    }
    text += if workload.begin.is_nothing() { "\n" } else { "" };
    workload.steps.iter().for_each(|step| text += &line(step));
    if workload.begin.is_nothing() && workload.steps.is_empty() {
        // A script has a command, though the making of the store is enough here.
        text += &format!("{}\n", Command::Settle);
    }
    text
}

/// Whether no write waits for less than the store was opened with: scripts have no word for that.
fn says_its_durability(workload: &Workload) -> bool {
    let usual = workload.setting.durability;
    let waits = |step: &Step| match step {
        Step::Write(_, durability) => *durability == usual || *durability == Durability::Always,
        _ => true,
    };
    workload.steps.iter().all(waits)
}

impl Begin {
    fn is_nothing(&self) -> bool {
        matches!(self, Begin::Nothing)
    }
}

fn line(step: &Step) -> String {
    let ack = |durability: &Durability| {
        if *durability == Durability::Always { Ack::Durable } else { Ack::Usual }
    };
    let command = match step {
        Step::Write(members, durability) => match &members[..] {
            [(key, Some(value))] => Command::Set(ack(durability), key.clone(), value.clone()),
            members => Command::Batch(ack(durability), members.iter().map(script_step).collect()),
        },
        Step::Remove(key) => Command::Remove(Ack::Usual, key.clone()),
        Step::Swap(key, value) => Command::Swap(key.clone(), value.clone()),
        Step::Load(pairs) => Command::Load(pairs.clone()),
        Step::Sync => Command::Sync,
        Step::Flush => Command::Flush,
        Step::Compact => Command::Compact(KeyRange::all()),
        Step::CompactRange(range) => Command::Compact(range.clone()),
        Step::Hold => Command::Snapshot("s".into()),
        Step::Release => Command::Drop("s".into()),
        Step::Reopen => Command::Reopen,
        Step::Checkpoint(path) => {
            let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
            Command::Checkpoint(name.unwrap_or_default())
        }
        Step::Migrate(path) => return format!("# Migrated to the other engine, at {path}.\n"),
    };
    format!("{command}\n")
}

fn script_step((key, value): &Member) -> script::Step {
    match value {
        Some(value) => script::Step::Set(key.clone(), value.clone()),
        None => script::Step::Remove(key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::{text, workload};
    use crate::engine::options::Durability;
    use crate::survive::engine::Engine;
    use crate::survive::history::{Begin, Setting, Workload};
    use crate::survive::script::file::Script;
    use crate::survive::step::Step;
    use crate::survive::workloads;

    /// What a workload does is read as it is written.
    #[test]
    fn a_workload_is_a_script_and_a_script_a_workload() {
        let mut compared = 0;
        for engine in Engine::all() {
            for one in workloads::fixed(&engine) {
                let one = Workload { begin: Begin::Nothing, ..one };
                if one.name == "migration" || one.name == "checkpoint" {
                    continue; // Their paths are other ones.
                }
                let script = Script::read(&text(&one)).expect("it was written as a script");
                let again = workload(&one.name, &script, &Setting::of(&engine)).expect("and says no more");
                // A batch of one removal is a batch, whatever it was called.
                assert_eq!(again.steps, one.steps, "{}", text(&one));
                assert_eq!(again.setting.engine, one.setting.engine);
                compared += 1;
            }
        }
        assert!(compared > 30);
    }

    /// `durability=always` was handed to the engine, which has no such option.
    #[test]
    fn a_script_says_how_its_store_is_opened() {
        let always = "engines: lsm\noptions: filter_bits=0 durability=always\n\nset a b\nrm a\n";
        let read = |text: &str| {
            let script = Script::read(text).expect("a script");
            workload("x", &script, &Setting::of(&Engine::lsm()))
        };
        let one = read(always).expect("a workload");
        assert_eq!(one.setting.engine, Engine::lsm().with("filter_bits", "0"));
        assert_eq!(one.setting.durability, Durability::Always);
        assert!(matches!(&one.steps[..], [Step::Write(_, Durability::Always), Step::Remove(_)]), "{one:?}");
        let again = read(&text(&one)).expect("and once more");
        assert_eq!((again.steps, again.setting.durability), (one.steps, Durability::Always));
        let refused = read("options: schedule=threads\n\nset a b\n");
        assert!(refused.is_err_and(|error| error.to_string().contains("leave it out")));
    }

    /// What breaks in the making of a store needs no command; the script that is saved has one, or it would
    /// not be taken for a script.
    #[test]
    fn a_script_of_nothing_has_a_command() {
        let nothing =
            Workload { begin: Begin::Nothing, steps: Vec::new(), ..workloads::singles(&Engine::lsm()) };
        let script = Script::read(&text(&nothing)).expect("a script");
        assert_eq!(script.commands().len(), 1);
        let again = workload("x", &script, &Setting::of(&Engine::lsm())).expect("a workload");
        assert!(again.steps.is_empty());
    }

    #[test]
    fn a_script_that_fails_by_itself_is_refused() {
        for line in ["crash kill", "fail sync 1 EIO", "heal"] {
            let script = Script::read(&format!("set a b\n{line}\n")).expect("a script");
            let refused = workload("x", &script, &Setting::of(&Engine::lsm()));
            assert!(refused.is_err_and(|error| error.to_string().contains("kvs torture")), "{line}");
        }
    }
}
