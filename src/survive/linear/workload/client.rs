//! One thread that calls a store, and writes down when and what it was told.

use crate::dice::{Dice, mix};
use crate::engine::batch::WriteBatch;
use crate::engine::options::WriteOptions;
use crate::engine::range::{Direction, KeyRange};
use crate::engine::{KvsEngine, KvsRead};
use crate::error::Error;
use crate::survive::linear::cuts::{Batch, Cut, version_of};
use crate::survive::linear::{Call, Held, Timed};
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys that are written one by one.
pub(super) const REGISTERS: usize = 40;

/// Keys of a group.
const GROUP: usize = 5;

/// The key of a register.
pub(super) fn register(number: usize) -> Vec<u8> {
    format!("r{number:02}").into_bytes()
}

/// A key of a client's group: those of all groups lie between each other.
fn group_key(member: usize, client: usize) -> Vec<u8> {
    format!("g{member}-{client:02}").into_bytes()
}

fn all_groups() -> KeyRange {
    KeyRange::of("g".."h")
}

/// The value that stands for a number: the number, and bytes that it decides.
fn value_of(held: Held) -> Vec<u8> {
    let scattered = mix(held);
    let len = if scattered.is_multiple_of(16) { scattered >> 8 & 1023 } else { scattered >> 8 & 63 };
    let mut value = held.to_be_bytes().to_vec();
    value.resize(8 + len as usize, scattered as u8);
    value
}

/// The number that a value stands for; nothing is 0.
fn held(value: Option<&[u8]>) -> Result<Held, String> {
    let Some(value) = value else { return Ok(0) };
    let head = value.get(..8).and_then(|head| head.try_into().ok()).map(Held::from_be_bytes);
    match head {
        Some(held) if value == value_of(held) => Ok(held),
        _ => Err(format!("a value that nobody wrote: \"{}\"", value.escape_ascii())),
    }
}

/// What a client was told in a round.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Calls of single keys: those of a group count as one key, behind the registers.
    pub(super) calls: Vec<(usize, Timed)>,
    /// The client's batches.
    pub(super) batches: Vec<Batch>,
    /// What its scans and snapshots showed.
    pub(super) cuts: Vec<Cut>,
    pub(super) operations: u64,
    pub(super) gets: u64,
    pub(super) writes: u64,
}

/// One thread on a store.
#[derive(Clone, Debug)]
pub(super) struct Client {
    thread: usize,
    clients: usize,
    /// Whether a durable write takes long.
    is_real: bool,
    /// The number of its last batch.
    pub(super) version: u64,
    /// The number of its last value.
    count: u64,
}

/// A client while it calls.
struct Turn<'a> {
    client: &'a mut Client,
    store: &'a dyn KvsEngine,
    clock: &'a AtomicU64,
    dice: Dice,
    log: Log,
}

type Told<T> = Result<T, String>;

fn failed(error: Error) -> String {
    format!("error: {error}")
}

impl Client {
    pub(super) fn new(thread: usize, clients: usize, is_real: bool) -> Client {
        Client { thread, clients, is_real, version: 0, count: 0 }
    }

    /// Makes its calls; what it was told, or why it could not go on.
    pub(super) fn round(
        &mut self,
        store: &dyn KvsEngine,
        clock: &AtomicU64,
        seed: u64,
        calls: u64,
    ) -> Told<Log> {
        let dice = Dice::new(mix(seed ^ (self.thread as u64 + 1)));
        let mut turn = Turn { client: self, store, clock, dice, log: Log::default() };
        for _ in 0..calls {
            turn.call()?;
            turn.log.operations += 1;
        }
        Ok(turn.log)
    }
}

impl Turn<'_> {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn call(&mut self) -> Told<()> {
        let key = self.dice.below(REGISTERS as u64) as usize;
        match self.dice.below(100) {
            0..40 => self.get(key, &register(key)),
            40..55 => self.put(key),
            55..60 => self.put_nothing(key),
            60..71 => self.swap(key),
            71..76 => self.remove(key),
            76..86 => self.batch(),
            86..93 => {
                let client = self.dice.below(self.client.clients as u64) as usize;
                let member = self.dice.below(GROUP as u64) as usize;
                self.get(REGISTERS + client, &group_key(member, client))
            }
            93..96 => self.scan(),
            96..98 => self.snapshot(),
            98 => self.walk(),
            _ => self.scan_registers(),
        }
    }

    fn options(&mut self) -> WriteOptions {
        match self.dice.below(if self.client.is_real { 1000 } else { 30 }) {
            0 => WriteOptions::durable(),
            _ => WriteOptions::default(),
        }
    }

    /// A number that nobody else has.
    fn fresh(&mut self) -> Held {
        self.client.count += 1;
        (self.client.thread as u64 + 1) << 48 | self.client.count
    }

    fn say(&mut self, key: usize, begin: u64, call: Call) {
        let timed = Timed { thread: self.client.thread, begin, end: self.now(), call };
        self.log.calls.push((key, timed));
        match call {
            Call::Get(_) => self.log.gets += 1,
            _ => self.log.writes += 1,
        }
    }

    fn get(&mut self, key: usize, bytes: &[u8]) -> Told<()> {
        let begin = self.now();
        let found = self.store.get(bytes).map_err(failed)?;
        self.say(key, begin, Call::Get(held(found.as_deref())?));
        Ok(())
    }

    fn put(&mut self, key: usize) -> Told<()> {
        let (new, options) = (self.fresh(), self.options());
        let batch = WriteBatch::of_one(&register(key), Some(&value_of(new))).map_err(failed)?;
        let begin = self.now();
        self.store.write(batch, &options).map_err(failed)?;
        self.say(key, begin, Call::Put(new));
        Ok(())
    }

    fn put_nothing(&mut self, key: usize) -> Told<()> {
        let options = self.options();
        let batch = WriteBatch::of_one(&register(key), None).map_err(failed)?;
        let begin = self.now();
        self.store.write(batch, &options).map_err(failed)?;
        self.say(key, begin, Call::Put(0));
        Ok(())
    }

    fn swap(&mut self, key: usize) -> Told<()> {
        let new = if self.dice.below(4) == 0 { 0 } else { self.fresh() };
        let value = (new != 0).then(|| value_of(new));
        let begin = self.now();
        let old = self.store.swap(&register(key), value.as_deref()).map_err(failed)?;
        self.say(key, begin, Call::Swap(new, held(old.as_deref())?));
        Ok(())
    }

    fn remove(&mut self, key: usize) -> Told<()> {
        let begin = self.now();
        let was_there = self.store.remove(&register(key)).map_err(failed)?;
        self.say(key, begin, Call::Remove(was_there));
        Ok(())
    }

    /// Writes its number to every key of the client's group.
    fn batch(&mut self) -> Told<()> {
        let thread = self.client.thread;
        let (version, options) = (self.client.version + 1, self.options());
        let value = value_of(version);
        let mut batch = WriteBatch::new();
        (0..GROUP).for_each(|member| batch.set(&group_key(member, thread), &value));
        let begin = self.now();
        self.store.write(batch, &options).map_err(failed)?;
        self.client.version = version;
        self.say(REGISTERS + thread, begin, Call::Put(version));
        let end = self.now();
        self.log.batches.push(Batch { begin, end });
        Ok(())
    }

    fn maybe_reverse(&mut self, range: KeyRange) -> KeyRange {
        if self.dice.below(2) == 0 { range.reverse() } else { range }
    }

    /// The present, as it was at some moment while the scan was begun.
    fn scan(&mut self) -> Told<()> {
        let range = self.maybe_reverse(all_groups());
        let begin = self.now();
        let scan = self.store.scan(range.clone()).map_err(failed)?;
        let end = self.now();
        let pairs = scan.map(|pair| pair.map(|(key, value)| (key.into_vec(), value.into_vec())));
        let pairs = pairs.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        self.cut(begin, end, pairs, range.direction)
    }

    /// The same at some moment while it was taken, however often it is read.
    fn snapshot(&mut self) -> Told<()> {
        let begin = self.now();
        let snapshot = self.store.snapshot().map_err(failed)?;
        let end = self.now();
        let read = |range: KeyRange| {
            let pairs = snapshot.scan(range).map_err(failed)?;
            let pairs = pairs.map(|pair| pair.map(|(key, value)| (key.into_vec(), value.into_vec())));
            pairs.collect::<Result<Vec<_>, _>>().map_err(failed)
        };
        let first = read(all_groups())?;
        let mut again = read(all_groups().reverse())?;
        again.reverse();
        if first != again {
            return Err("a snapshot shows something else from the other end".into());
        }
        self.cut(begin, end, first, Direction::Forward)
    }

    /// A cursor that jumps to and fro.
    fn walk(&mut self) -> Told<()> {
        let begin = self.now();
        let mut cursor = self.store.cursor(all_groups()).map_err(failed)?;
        let end = self.now();
        let mut pairs = Vec::new();
        for client in 0..self.client.clients {
            for member in 0..GROUP {
                let key = group_key(member, client);
                cursor.seek(&key).map_err(failed)?;
                if cursor.valid() && cursor.key() == key {
                    pairs.push((key, cursor.value().map_err(failed)?.to_vec()));
                    cursor.prev().map_err(failed)?;
                }
            }
        }
        drop(cursor);
        pairs.sort();
        self.cut(begin, end, pairs, Direction::Forward)
    }

    /// What was seen of the groups must be one number each.
    fn cut(&mut self, begin: u64, end: u64, mut pairs: Vec<(Vec<u8>, Vec<u8>)>, way: Direction) -> Told<()> {
        if way == Direction::Reverse {
            pairs.reverse();
        }
        if !pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err("keys out of order".into());
        }
        let mut versions = Vec::with_capacity(self.client.clients);
        for client in 0..self.client.clients {
            let mut group = [0; GROUP];
            for (member, number) in group.iter_mut().enumerate() {
                let key = group_key(member, client);
                let at = pairs.binary_search_by(|(other, _)| other.cmp(&key));
                *number = held(at.ok().map(|at| &pairs[at].1[..]))?;
            }
            let version = version_of(&group);
            let version = version.ok_or_else(|| format!("half a batch of writer {client}: {group:?}"))?;
            // Also a get of the group, which has its place among all others.
            let (thread, call) = (self.client.thread, Call::Get(version));
            self.log.calls.push((REGISTERS + client, Timed { thread, begin, end, call }));
            versions.push(version);
        }
        self.log.cuts.push(Cut { begin, end, versions });
        Ok(())
    }

    /// A scan over single keys is a get of each, all at one moment.
    fn scan_registers(&mut self) -> Told<()> {
        let range = self.maybe_reverse(KeyRange::of("r".."s"));
        let begin = self.now();
        let scan = self.store.scan(range).map_err(failed)?;
        let end = self.now();
        let mut found = [0; REGISTERS];
        for pair in scan {
            let (key, value) = pair.map_err(failed)?;
            let number = std::str::from_utf8(&key[1..]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let slot = number.and_then(|number| found.get_mut(number));
            *slot.ok_or_else(|| format!("a key that nobody wrote: \"{}\"", key.escape_ascii()))? =
                held(Some(&value))?;
        }
        let thread = self.client.thread;
        for (key, found) in found.into_iter().enumerate() {
            self.log.calls.push((key, Timed { thread, begin, end, call: Call::Get(found) }));
        }
        Ok(())
    }
}
