//! Draws histories from a seed.

use crate::dice::{Dice, mix};
use crate::engine::kind::EngineKind;
use crate::engine::range::{Direction, KeyRange};
use crate::survive::script::{Ack, Command, Crash, Failure, Look, Move, Settings, Step};
use crate::survive::torture::history::{History, pick, settings};
use crate::vfs::fault::{Call, Errno};
use std::ops::Bound;

/// Keys that are written at the beginning and seldom touched: they keep old files from being all garbage,
/// so that merges have something to leave alone.
const COLD: usize = 60;

/// Names of snapshots.
const NAMES: [&str; 3] = ["s", "t", "u"];

/// History number `number` of a seed: always the same.
pub fn draw(kind: EngineKind, seed: u64, number: u64) -> History {
    let mut dice = Dice::new(mix(mix(seed) ^ number.wrapping_add(1)));
    let settings = settings(kind, &mut dice);
    let is_calm = dice.below(4) == 0;
    let is_long = dice.below(16) == 0;
    let mut artist = Artist { kind, dice, is_calm, is_small: false, trouble: false, checkpoints: 0 };
    artist.is_small = artist.dice.below(3) > 0;
    let settings = artist.how_it_is_opened(settings);
    let mut commands = artist.cold_start();
    let count = if is_long { 600 } else { artist.between(20, 200) };
    commands.extend((0..count).map(|_| artist.command()));
    History { kind, settings, commands }
}

/// Draws commands.
struct Artist {
    kind: EngineKind,
    dice: Dice,
    /// Nothing fails and nothing crashes.
    is_calm: bool,
    /// Values are short: more commands a second, and less goes on in the files.
    is_small: bool,
    /// The disk was told to fail, and the store may be poisoned.
    trouble: bool,
    checkpoints: u64,
}

impl Artist {
    fn below(&mut self, n: u64) -> u64 {
        self.dice.below(n)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Threads only where nothing fails: which call fails would depend on them.
    fn how_it_is_opened(&mut self, mut settings: Settings) -> Settings {
        if self.is_calm && self.below(8) == 0 {
            settings.push(("schedule".into(), "threads".into()));
        }
        if self.below(8) == 0 {
            settings.push(("durability".into(), "always".into()));
        }
        settings
    }

    fn cold_start(&mut self) -> Vec<Command> {
        if self.below(3) > 0 {
            return Vec::new();
        }
        let len = self.between(30, 150) as usize;
        let value = |i: usize| [b'A' + (i % 26) as u8, b'0' + (i / 26) as u8].repeat(len);
        match self.below(3) {
            0 => vec![Command::Load((0..COLD).map(|i| (cold_key(i), value(i))).collect())],
            _ => vec![Command::Batch(
                self.ack(),
                (0..COLD).map(|i| Step::Set(cold_key(i), value(i))).collect(),
            )],
        }
    }

    fn command(&mut self) -> Command {
        if self.trouble && self.below(6) == 0 {
            self.trouble = false;
            return match self.below(6) {
                0 => Command::Heal,
                1 | 2 => self.crash(),
                _ => Command::Reopen,
            };
        }
        match self.below(1000) {
            0..250 => Command::Set(self.ack(), self.key(), self.value()),
            250..340 => {
                Command::Remove(if self.below(5) == 0 { Ack::Durable } else { Ack::Usual }, self.key())
            }
            340..410 => {
                let value = if self.below(3) > 0 { Some(self.value()) } else { None };
                Command::Swap(self.key(), value)
            }
            410..520 => {
                let count = self.below(7);
                Command::Batch(self.ack(), (0..count).map(|_| self.step()).collect())
            }
            520..535 => self.load(),
            535..770 => {
                let name = if self.below(5) < 2 { Some(self.name()) } else { None };
                Command::Look(name, self.look())
            }
            770..810 => Command::Snapshot(self.name()),
            810..825 => Command::Drop(self.name()),
            825..845 => Command::Compact(if self.below(2) == 0 { KeyRange::all() } else { self.range() }),
            845..860 => Command::Flush,
            860..865 => Command::Settle,
            865..885 => Command::Sync,
            885..889 => self.checkpoint(),
            889..905 => Command::Reopen,
            905..910 => self.options(),
            910..925 => Command::StatsKeys,
            _ if self.is_calm => Command::Look(None, Look::Get(self.key())),
            925..960 => self.crash(),
            960..995 => self.fail(),
            _ => Command::Heal,
        }
    }

    fn ack(&mut self) -> Ack {
        if self.below(8) == 0 { Ack::Durable } else { Ack::Usual }
    }

    fn name(&mut self) -> String {
        (*pick(&mut self.dice, &NAMES)).into()
    }

    /// Few keys, so that they meet often; some begin alike, some are odd.
    fn key(&mut self) -> Vec<u8> {
        const ODD: [&[u8]; 6] = [b"", b"a\0", b"aa", b"ab", b"\xff", b"\xff\xff"];
        match self.below(12) {
            0..8 => vec![b'a' + self.below(8) as u8],
            8..11 => pick(&mut self.dice, &ODD).to_vec(),
            _ => cold_key(self.below(COLD as u64) as usize),
        }
    }

    /// From nothing to more than a segment or a memtable holds; two letters tell values apart.
    fn value(&mut self) -> Vec<u8> {
        let letters = [b'a' + self.below(26) as u8, b'a' + self.below(26) as u8];
        let times = match self.below(if self.is_small { 15 } else { 18 }) {
            0..2 => 0,
            2..12 => self.between(1, 3),
            12..15 => self.between(50, 79),
            15..17 => self.between(1000, 2999),
            _ => self.between(9000, 20_000),
        };
        letters.repeat(times as usize)
    }

    fn range(&mut self) -> KeyRange {
        KeyRange { start: self.bound(), end: self.bound(), direction: Direction::Forward }
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.below(5) {
            0..2 => Bound::Unbounded,
            2..4 => Bound::Included(self.key()),
            _ => Bound::Excluded(self.key()),
        }
    }

    fn step(&mut self) -> Step {
        match self.below(3) {
            0 => Step::Remove(self.key()),
            _ => Step::Set(self.key(), self.value()),
        }
    }

    fn look(&mut self) -> Look {
        match self.below(10) {
            0..4 => Look::Get(self.key()),
            4..6 => Look::Scan(self.range()),
            6..8 => Look::Scan(self.range().reverse()),
            _ => {
                let count = self.between(1, 10);
                Look::Walk(self.range(), (0..count).map(|_| self.cursor_move()).collect())
            }
        }
    }

    fn cursor_move(&mut self) -> Move {
        match self.below(17) {
            0 => Move::First,
            1 => Move::Last,
            2..6 => Move::Next,
            6..10 => Move::Prev,
            10..13 => Move::Seek(self.key()),
            13..15 => Move::Write(self.step()),
            15 => Move::Flush,
            _ => Move::Compact,
        }
    }

    fn load(&mut self) -> Command {
        let count = self.below(20);
        let mut pairs: Vec<_> = (0..count).map(|_| (self.key(), self.value())).collect();
        pairs.sort();
        pairs.dedup_by(|(one, _), (other, _)| one == other);
        Command::Load(pairs)
    }

    fn checkpoint(&mut self) -> Command {
        self.checkpoints += 1;
        Command::Checkpoint(format!("copy{}", self.checkpoints))
    }

    fn options(&mut self) -> Command {
        let settings = settings(self.kind, &mut self.dice);
        Command::Options(self.how_it_is_opened(settings))
    }

    fn crash(&mut self) -> Command {
        self.trouble = false;
        match self.below(3) {
            0 => Command::Crash(Crash::Kill),
            _ => Command::Crash(Crash::Power(self.below(1 << 32))),
        }
    }

    fn fail(&mut self) -> Command {
        const CALLS: [(Option<Call>, &[Errno]); 17] = [
            (Some(Call::Append), &[Errno::Io, Errno::NoSpace]),
            (Some(Call::Append), &[Errno::NoSpace, Errno::Interrupted]),
            (Some(Call::Append), &[Errno::Io]),
            (Some(Call::Sync), &[Errno::Io]),
            (Some(Call::Sync), &[Errno::Io, Errno::NoSpace]),
            (Some(Call::Read), &[Errno::Io]),
            (Some(Call::Read), &[Errno::Io, Errno::Interrupted]),
            (Some(Call::SyncDir), &[Errno::Io]),
            (Some(Call::Create), &[Errno::Io, Errno::NoSpace, Errno::TooManyFiles, Errno::Denied]),
            (Some(Call::Open), &[Errno::TooManyFiles, Errno::Io]),
            (Some(Call::OpenAppend), &[Errno::Io, Errno::TooManyFiles]),
            (Some(Call::Rename), &[Errno::Io, Errno::NoSpace]),
            (Some(Call::Remove), &[Errno::Io, Errno::Denied]),
            (Some(Call::Truncate), &[Errno::Io]),
            (Some(Call::List), &[Errno::Io]),
            (None, &[Errno::Io]),
            (None, &[Errno::Io, Errno::NoSpace, Errno::Interrupted]),
        ];
        self.trouble = true;
        let (call, errnos) = *pick(&mut self.dice, &CALLS);
        let nth = match self.below(4) {
            0 => 1,
            1 | 2 => self.between(1, 6),
            _ => self.between(1, 60),
        };
        let errno = *pick(&mut self.dice, errnos);
        let (is_short, is_lasting) = (self.below(4) == 0, self.below(5) == 0);
        Command::Fail(Failure { call, nth, errno, is_short, is_lasting })
    }
}

fn cold_key(i: usize) -> Vec<u8> {
    format!("c{i:02}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::engine::kind::EngineKind;
    use crate::survive::script::file::Script;

    #[test]
    fn a_history_is_a_script_and_the_same_every_time() {
        for number in 0..50 {
            for kind in [EngineKind::Bitcask, EngineKind::Lsm] {
                let history = draw(kind, 1, number);
                assert_eq!(history, draw(kind, 1, number));
                let script = Script::read(&history.to_string()).unwrap();
                assert_eq!(script.commands(), history.commands);
                assert_eq!((script.engines, script.options), (vec![kind.to_string()], history.settings));
            }
        }
        assert_ne!(draw(EngineKind::Lsm, 1, 0), draw(EngineKind::Lsm, 2, 0));
    }
}
