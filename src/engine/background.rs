//! The workers of a store: jobs that do not keep it alive, and that poison it if they panic.

use crate::engine::health::Health;
use crate::engine::options::{Access, Durability, OpenOptions};
use crate::error::{Error, Result};
use crate::worker::{Schedule, Worker};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Starts the workers of one store. All of them should be started before the first is woken. Where the system has
/// no thread to give, the store can not be opened.
#[derive(Debug)]
pub struct Background<'a, S> {
    store: &'a Arc<S>,
    health: &'a Arc<Health>,
    schedule: Schedule,
    durability: Durability,
    path: &'a Path,
}

impl<'a, S: Send + Sync + 'static> Background<'a, S> {
    /// For `store`, opened like this. A reader has nothing to do behind its caller's back: its workers
    /// have no threads.
    pub fn of(
        store: &'a Arc<S>,
        health: &'a Arc<Health>,
        open: &OpenOptions,
        path: &'a Path,
    ) -> Background<'a, S> {
        let schedule = if open.access == Access::Read { Schedule::Manual } else { open.schedule };
        Background { store, health, schedule, durability: open.durability, path }
    }

    /// A worker that does `work` whenever it is woken. `what` it does names its thread and, after a
    /// panic, the cause: `merge`.
    pub fn worker(&self, what: &'static str, work: fn(&S)) -> Result<Worker> {
        self.start(what, None, work, Arc::default())
    }

    /// The same, and whenever so much time has passed.
    pub fn worker_every(&self, what: &'static str, every: Duration, work: fn(&S)) -> Result<Worker> {
        self.start(what, Some(every), work, Arc::default())
    }

    /// A worker after whose work others have some.
    pub fn worker_before(
        &self,
        what: &'static str,
        work: fn(&S),
        others: Arc<Vec<Worker>>,
    ) -> Result<Worker> {
        self.start(what, None, work, others)
    }

    /// Whether its workers have threads.
    pub fn has_threads(&self) -> bool {
        self.schedule == Schedule::Threads
    }

    /// A worker that calls `sync` whenever the interval of durability has passed; none if there is no
    /// such interval, or no thread: then each write has to be durable before it is acknowledged.
    pub fn syncer(&self, sync: fn(&S)) -> Result<Option<Worker>> {
        match (self.durability, self.schedule) {
            (Durability::Interval(every), Schedule::Threads) => {
                self.worker_every("sync", every, sync).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn start(
        &self,
        what: &'static str,
        every: Option<Duration>,
        work: fn(&S),
        then: Arc<Vec<Worker>>,
    ) -> Result<Worker> {
        let (store, health) = (Arc::downgrade(self.store), self.health.clone());
        let job = move || {
            if let Some(store) = store.upgrade() {
                work(&store);
            }
            then.iter().for_each(Worker::wake);
        };
        let on_panic = move |panic| {
            _ = health.poison(Error::invalid(format!("the background {what} panicked: {panic}")))
        };
        let worker = Worker::new(&format!("kvs-{what}"), self.schedule, every, job, on_panic);
        worker.map_err(|error| Error::io("start a thread for", self.path, error))
    }
}
