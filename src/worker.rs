//! Background jobs: on a thread of their own, or inline and stepped, so that tests and experiments
//! are deterministic.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use crate::sync::thread::{self, JoinHandle};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Where background work runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// On a thread of its own, beside reads and writes.
    #[default]
    Threads,
    /// In the thread of the write that made it necessary, before that write returns: the same calls
    /// always do the same work at the same moment.
    Inline,
    /// Never by itself: only when the caller asks for it, as with `compact`.
    Manual,
}

/// A job that is run whenever somebody wakes it, once for any number of wakes in between.
///
/// The job holds what it works on weakly, so that a worker never keeps a store alive. It is told
/// about a panic in the job by `on_panic`, and is not run again after one.
pub struct Worker {
    state: State,
}

enum State {
    Inline(Box<dyn Fn() + Send + Sync>),
    Manual,
    Thread { wake: SyncSender<()>, stopping: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Worker {
    /// Makes a worker. On a thread, the job also runs whenever `every` has passed.
    ///
    /// # Errors
    /// What the system says where it has no thread to give: nothing would ever be done then, and nobody told.
    pub fn new(
        name: &str,
        schedule: Schedule,
        every: Option<Duration>,
        job: impl Fn() + Send + Sync + 'static,
        on_panic: impl Fn(String) + Send + Sync + 'static,
    ) -> io::Result<Worker> {
        let guarded = move || match catch_unwind(AssertUnwindSafe(&job)) {
            Ok(()) => true,
            Err(panic) => {
                on_panic(panic_text(&*panic));
                false
            }
        };
        let state = match schedule {
            Schedule::Inline => State::Inline(Box::new(move || _ = guarded())),
            Schedule::Manual => State::Manual,
            Schedule::Threads => spawn(name, every, guarded)?,
        };
        Ok(Worker { state })
    }

    /// Asks for the job to run. Never waits for it, but inline, where this *is* the job.
    pub fn wake(&self) {
        match &self.state {
            State::Inline(job) => job(),
            State::Manual => {}
            State::Thread { wake, .. } => {
                // Full: a wake is pending already. Disconnected: the job panicked, and has said so.
                let (Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(()))) =
                    wake.try_send(());
            }
        }
    }

    /// Ends the thread and waits for the job that is running, if any.
    pub fn stop(&mut self) {
        if let State::Thread { wake, stopping, thread } = &mut self.state {
            stopping.store(true, Ordering::Release);
            let _ = wake.try_send(());
            if let Some(thread) = thread.take()
                && thread.thread().id() != thread::current().id()
            {
                // A panic in the job was caught and told; there is none to pass on.
                let _ = thread.join();
            }
        }
    }
}

fn spawn(name: &str, every: Option<Duration>, job: impl Fn() -> bool + Send + 'static) -> io::Result<State> {
    let (wake, woken) = sync_channel(1);
    let stopping = Arc::new(AtomicBool::new(false));
    let stop = stopping.clone();
    let run = move || loop {
        let again = match every {
            Some(every) => woken.recv_timeout(every),
            None => woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if stop.load(Ordering::Acquire) || again == Err(RecvTimeoutError::Disconnected) || !job() {
            return;
        }
    };
    let thread = thread::Builder::new().name(name.into()).spawn(run)?;
    Ok(State::Thread { wake, stopping, thread: Some(thread) })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Inline(_) => "Worker(inline)",
            State::Manual => "Worker(manual)",
            State::Thread { .. } => "Worker(thread)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Schedule, Worker};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;

    #[test]
    fn inline_runs_at_once_and_manual_never() {
        for (schedule, runs) in [(Schedule::Inline, 2), (Schedule::Manual, 0)] {
            let count = Arc::new(AtomicU32::new(0));
            let counted = count.clone();
            let job = move || _ = counted.fetch_add(1, Ordering::Relaxed);
            let worker = Worker::new("test", schedule, None, job, |_| ()).unwrap();
            worker.wake();
            worker.wake();
            assert_eq!(count.load(Ordering::Relaxed), runs);
        }
    }

    #[test]
    fn a_panic_is_told_and_ends_the_worker() {
        let (told, hear) = channel();
        let worker =
            Worker::new("test", Schedule::Threads, None, || panic!("boo"), move |e| told.send(e).unwrap())
                .unwrap();
        worker.wake();
        assert_eq!(hear.recv().unwrap(), "boo");
        worker.wake();
        worker.wake();
        drop(worker);
        assert!(hear.recv().is_err());
    }
}
