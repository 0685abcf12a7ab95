//! A request: one call that writes, on its way through the commit queue.

use crate::engine::batch::{Op, WriteBatch};
use crate::engine::health::Health;
use crate::engine::value::Value;
use crate::error::{Error, Result};

/// What a caller wants to know of the key that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: a blind write.
    Nothing,
    /// Whether the key was there.
    WasThere,
    /// The value that it had.
    OldValue,
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did not ask.
    Nothing,
    /// The key was not there.
    Absent,
    /// The key was there.
    Present,
    /// The key had this value.
    Old(Box<Value>),
}

impl Answer {
    /// The value that the key had, of who asked for it.
    pub fn old_value(self) -> Option<Value> {
        match self {
            Answer::Old(value) => Some(*value),
            Answer::Nothing | Answer::Absent | Answer::Present => None,
        }
    }
}

/// What an engine's newest state says of a key: the leader of a commit looks here for what a request
/// asks. Nobody writes meanwhile.
pub trait Present {
    /// The value of `key`.
    fn value(&self, key: &[u8]) -> Result<Option<Value>>;

    /// Whether `key` is there; cheaper than its value where the engine can tell.
    fn has(&self, key: &[u8]) -> Result<bool>;

    /// Whether two keys are one, which is for the order of keys to say.
    fn is_same(&self, key: &[u8], other: &[u8]) -> bool {
        key == other
    }
}

/// A batch to write, when to acknowledge it, and what to tell.
#[derive(Debug)]
pub struct Request {
    /// What to write. Never changed on the way.
    pub batch: WriteBatch,
    /// Whether it must be durable before it is acknowledged.
    pub is_durable: bool,
    /// What to find out, before it is applied, about its first key.
    pub ask: Ask,
    /// Whether the leader writes it: a removal of what is not there is not written.
    pub is_written: bool,
    /// How it went. `None` until its leader has said, and for ever if that one panicked.
    pub outcome: Option<Result<Answer>>,
}

impl Request {
    /// A request that nobody has looked at.
    pub fn new(batch: WriteBatch, is_durable: bool, ask: Ask) -> Request {
        Request { batch, is_durable, ask, is_written: true, outcome: None }
    }

    /// Has it not written, for this reason.
    pub fn refuse(&mut self, reason: Error) {
        self.is_written = false;
        self.outcome = Some(Err(reason));
    }

    /// How it went, for its caller. One without an outcome had a leader that died in the middle of the
    /// commit, and poisons the store.
    #[inline]
    pub fn into_outcome(self, health: &Health) -> Result<Answer> {
        self.outcome.unwrap_or_else(|| {
            let died = Error::invalid("the thread that was to commit this write panicked");
            Err(health.poison(died))
        })
    }

    /// The last step of this batch for `key`.
    fn last_op(&self, key: &[u8], present: &impl Present) -> Option<Op<'_>> {
        self.batch.iter().filter(|op| present.is_same(op.key(), key)).last()
    }

    /// Finds out what it asks for, in the requests that the same group writes before it, else in the
    /// store; and whether there is anything to write.
    pub fn answer(&mut self, before: &[Request], present: &impl Present) {
        let answer = self.look_up(before, present);
        self.is_written &= answer.is_ok();
        self.outcome = Some(answer);
    }

    fn look_up(&mut self, before: &[Request], present: &impl Present) -> Result<Answer> {
        let op = match (self.ask, self.batch.iter().next()) {
            (Ask::Nothing, _) | (_, None) => return Ok(Answer::Nothing),
            (Ask::WasThere | Ask::OldValue, Some(op)) => op,
        };
        let key = op.key();
        let mut earlier = before.iter().rev().filter(|earlier| earlier.is_written);
        let answer = match (earlier.find_map(|earlier| earlier.last_op(key, present)), self.ask) {
            (Some(Op::Remove(_)), _) => Answer::Absent,
            (Some(Op::Set(_, value)), Ask::OldValue) => Answer::Old(Box::new(Value::from(value))),
            (Some(Op::Set(..)), _) => Answer::Present,
            (None, Ask::OldValue) => match present.value(key)? {
                Some(value) => Answer::Old(Box::new(value)),
                None => Answer::Absent,
            },
            (None, _) if present.has(key)? => Answer::Present,
            (None, _) => Answer::Absent,
        };
        self.is_written = !(matches!(op, Op::Remove(_)) && answer == Answer::Absent);
        Ok(answer)
    }
}

/// Commits a group as its leader: `append` writes it, syncs it if a request asks for that, and shows it.
/// Without a `writer` the store is open for reading only. If it fails, every request of the group is told;
/// whether that poisons the store is for `append` to say.
pub fn lead<W>(
    group: &mut [Request],
    writer: Option<&mut W>,
    health: &Health,
    append: impl FnOnce(&mut W, &mut [Request]) -> Result<()>,
) {
    let _watch = health.watch("a commit");
    let mut untold = Untold { group, is_led: false };
    let group = &mut *untold.group;
    let result = match writer {
        // A reader has acknowledged nothing: all of that is durable.
        None if group.iter().all(|request| request.batch.is_empty()) => {
            group.iter_mut().for_each(|request| request.outcome = Some(Ok(Answer::Nothing)));
            Ok(())
        }
        None => Err(Error::ReadOnly),
        Some(writer) => health.check().and_then(|()| append(writer, group)),
    };
    if let Err(error) = result {
        group.iter_mut().for_each(|request| request.outcome = Some(Err(error.clone())));
    }
    untold.is_led = true;
}

/// A group whose leader is at work. Answers are found before anything is appended: if the leader panics, they
/// are taken back, for nobody may be told that what is nowhere was written.
struct Untold<'g> {
    group: &'g mut [Request],
    is_led: bool,
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if !self.is_led {
            self.group.iter_mut().for_each(|request| request.outcome = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Ask, Present, Request, lead};
    use crate::engine::batch::WriteBatch;
    use crate::engine::health::Health;
    use crate::engine::value::Value;
    use crate::error::{Error, Result};

    /// Has every key that begins with `a`, with the value `old`.
    struct Past;

    impl Present for Past {
        fn value(&self, key: &[u8]) -> Result<Option<Value>> {
            Ok(self.has(key)?.then(|| Value::from(&b"old"[..])))
        }

        fn has(&self, key: &[u8]) -> Result<bool> {
            Ok(key.starts_with(b"a"))
        }
    }

    // An append failed, and only the leader was told: who had waited for it took the write for done
    // (fjall#304). With threads it depends on the moment whether there is a follower at all.
    #[test]
    fn an_append_that_fails_is_told_to_all_of_its_group() {
        let mut group: Vec<_> = (0..3).map(|_| one(b"a", Some(b"1"), Ask::Nothing)).collect();
        group[1].outcome = Some(Ok(Answer::Nothing));
        lead(&mut group, Some(&mut ()), &Health::default(), |(), _| Err(Error::invalid("no")));
        let told = |request: &Request| matches!(request.outcome, Some(Err(Error::InvalidArgument(_))));
        assert!(group.iter().all(told), "{group:?}");
    }

    // A leader answers what its group asks before it appends. When it panicked in between, in an order of keys
    // that a user gave, those who followed had their answers already, and took nothing for written.
    #[test]
    fn nobody_is_told_by_a_leader_that_panics() {
        let mut group: Vec<_> = (0..3).map(|_| one(b"a", Some(b"1"), Ask::WasThere)).collect();
        let health = Health::default();
        let lead = || {
            lead(&mut group, Some(&mut ()), &health, |(), group| {
                for i in 0..2 {
                    let (before, rest) = group.split_at_mut(i);
                    rest[0].answer(before, &Past);
                }
                panic!("an order that panics");
            });
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(lead)).unwrap_err();
        for request in group {
            assert!(request.into_outcome(&health).unwrap_err().to_string().contains("panicked"));
        }
    }

    fn one(key: &[u8], value: Option<&[u8]>, ask: Ask) -> Request {
        Request::new(WriteBatch::of_one(key, value).unwrap(), false, ask)
    }

    // Two removals of what is one key for the order of a tree, in one group: both said that it was there.
    #[test]
    fn keys_that_the_order_takes_for_one_are_one_within_a_group() {
        struct AnyCase;
        impl Present for AnyCase {
            fn value(&self, key: &[u8]) -> Result<Option<Value>> {
                Past.value(&key.to_ascii_lowercase())
            }

            fn has(&self, key: &[u8]) -> Result<bool> {
                Past.has(&key.to_ascii_lowercase())
            }

            fn is_same(&self, key: &[u8], other: &[u8]) -> bool {
                key.eq_ignore_ascii_case(other)
            }
        }
        let mut group = [one(b"a", None, Ask::WasThere), one(b"A", None, Ask::WasThere)];
        for i in 0..group.len() {
            let (before, rest) = group.split_at_mut(i);
            rest[0].answer(before, &AnyCase);
        }
        let [first, second] = group.map(|request| request.outcome.unwrap().unwrap());
        assert_eq!((first, second), (Answer::Present, Answer::Absent));
    }

    #[test]
    fn a_request_sees_those_before_it_in_its_group() {
        let old = |value: &[u8]| Answer::Old(Box::new(Value::from(value)));
        let mut group = [
            one(b"a", Some(b"1"), Ask::OldValue),
            one(b"a", None, Ask::OldValue),
            one(b"a", None, Ask::WasThere),
            one(b"b", None, Ask::WasThere),
            one(b"b", Some(b"2"), Ask::WasThere),
            one(b"b", Some(b"3"), Ask::Nothing),
            one(b"b", None, Ask::OldValue),
        ];
        for i in 0..group.len() {
            let (before, rest) = group.split_at_mut(i);
            rest[0].answer(before, &Past);
        }
        let answers: Vec<_> = group.iter().map(|request| request.outcome.clone().unwrap().unwrap()).collect();
        let (absent, nothing) = (Answer::Absent, Answer::Nothing);
        assert_eq!(
            answers,
            [old(b"old"), old(b"1"), absent.clone(), absent.clone(), absent, nothing, old(b"3")]
        );
        let written: Vec<_> = group.iter().map(|request| request.is_written).collect();
        assert_eq!(written, [true, true, false, false, true, true, true]);
    }
}
