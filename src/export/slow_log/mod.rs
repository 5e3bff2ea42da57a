//! The slow-query log: one file or stdout, in PostgreSQL's own lines or its jsonlog, as log readers know them.
//!
//! Finished queries wait in a bounded queue; [`SlowLog::tick`] takes them out and writes each with one `write`. What
//! cannot be written (too many a second, disk full, folder gone) is counted by reason and never waited for. A finding
//! is written when it is first seen in the analysis' snapshot.
//!
//! *Architecture invariant:* synchronous, and on a thread of its own ([`Writer`]): a disk that hangs stops this log,
//! fills its queue, and nothing else. Time comes in as an argument.
//!
//! Read on in [`lines`] and `findings` for what is written, in `sink` for where.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use crate::analysis::{Feed, FoundAndAdvised};
use crate::bell::Bell;
use crate::clock::Clock;
use crate::detect::Status;
use crate::event::{Moment, SessionFacts, SlowQuery};
use crate::export::news::{Item, News};

mod findings;
pub mod lines;
mod sink;
#[cfg(test)]
mod tests;

use sink::Sink;

/// Where the slow log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Off,
    /// To the standard output.
    Stdout,
    /// To a file, which is appended to and created (mode 0600) where it is missing.
    File(PathBuf),
}

/// How an entry looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PostgreSQL's own lines, as pgBadger reads them.
    Stderr,
    /// PostgreSQL's jsonlog keys and one object `pgprism`.
    Json,
}

/// What can be set, and changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it goes.
    pub destination: Destination,
    /// How an entry looks.
    pub format: Format,
    /// Queries written in one second at most; 0 is no limit.
    pub queries_per_second_max: usize,
    /// Whether the disk is full on purpose ([`crate::fault::Fault::LogDiskFull`]).
    pub disk_full: bool,
}

/// Reason of [`SlowLog`]'s drops: more queries in this second than allowed.
pub const RATE_LIMIT: &str = "rate_limit";
/// Reason of [`SlowLog`]'s drops: the file could not be opened.
pub const OPEN_FAILED: &str = "open_failed";
/// Reason of [`SlowLog`]'s drops: the disk is full, or the reader of stdout went away.
pub const WRITE_FAILED: &str = "write_failed";
/// Reason of [`SlowLog`]'s drops: a panic while entries were written.
pub const PANIC: &str = "panic";

/// After a failure nothing is tried for so long: a full disk costs a system call a second, not one a query.
const PAUSE_NS: u64 = 1_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// Findings written in one second; further ones are written in the next. A start under load finds many at once, and
/// nobody reads them faster.
const FINDINGS_PER_SECOND_MAX: usize = 10;

/// Takes slow queries out of their queue and writes them.
pub struct SlowLog {
    settings: Settings,
    queue: Arc<ArrayQueue<Box<SlowQuery>>>,
    clock: Clock,
    dropped: Box<dyn Fn(&'static str) + Send>,
    sink: Sink,
    health: Health,
    second: Second,
    buffer: String,
    feed: Arc<Feed>,
    news: News,
}

/// What an entry is about.
#[derive(Clone, Copy)]
enum Entry<'e> {
    Query(&'e SlowQuery),
    Finding(&'e FoundAndAdvised, &'e SessionFacts),
}

/// Whether the last write worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// Entries lost since, their reason, and when to try again.
    Failing {
        lost: u64,
        reason: &'static str,
        retry_at: Moment,
    },
}

/// The current second of the rate limit.
#[derive(Debug, Clone, Copy)]
struct Second {
    began_at: Moment,
    written: usize,
    findings: usize,
}

impl SlowLog {
    /// A log that writes what arrives in `queue`; `dropped` is told the reason of each entry that is not written.
    pub fn new(
        settings: Settings,
        queue: Arc<ArrayQueue<Box<SlowQuery>>>,
        clock: Clock,
        dropped: impl Fn(&'static str) + Send + 'static,
    ) -> SlowLog {
        SlowLog {
            sink: Sink::new(&settings),
            settings,
            queue,
            clock,
            dropped: Box::new(dropped),
            health: Health::Well,
            second: Second {
                began_at: Moment::default(),
                written: 0,
                findings: 0,
            },
            buffer: String::new(),
            feed: Arc::default(),
            news: News::default(),
        }
    }

    /// Writes the findings of `feed` too, all that it does not hold yet.
    pub fn watch(&mut self, feed: Arc<Feed>) {
        self.news = News::since(&feed.snapshot());
        self.feed = feed;
    }

    /// Opens the file now, so that a start can fail on a path that cannot be written; later failures are only counted.
    pub fn open(&mut self) -> std::io::Result<()> {
        self.sink.open()
    }

    /// Opens the file again before the next entry: log rotation asks for it by SIGHUP.
    pub fn reopen(&mut self) {
        self.sink.close();
        self.health = match self.health {
            Health::Well => Health::Well,
            Health::Failing { lost, reason, .. } => Health::Failing {
                lost,
                reason,
                retry_at: Moment::default(),
            },
        };
    }

    /// Takes new settings; another destination is opened before the next entry.
    pub fn change(&mut self, settings: Settings) {
        if self.settings.destination != settings.destination {
            self.sink = Sink::new(&settings);
        }
        self.settings = settings;
        self.reopen();
    }

    /// Writes what waits, at most one queueful: others who want this thread get their turn.
    pub fn tick(&mut self, now: Moment) {
        if now.since(self.second.began_at) >= SECOND_NS {
            self.second = Second {
                began_at: now,
                written: 0,
                findings: 0,
            };
        }
        if !self.queue.is_empty() {
            self.sink.forget_vanished();
        }
        for _ in 0..self.queue.capacity() {
            let Some(query) = self.queue.pop() else { break };
            let limit = self.settings.queries_per_second_max;
            if limit > 0 && self.second.written >= limit && self.could_write(now) {
                (self.dropped)(RATE_LIMIT);
                continue;
            }
            if self.write(Entry::Query(&query), now) {
                self.second.written += 1;
            }
        }
        self.write_findings(now);
    }

    /// Whether there is nothing to be written.
    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.news.is_done_with(&self.feed.snapshot())
    }

    /// Writes findings that were not there before.
    fn write_findings(&mut self, now: Moment) {
        let snapshot = self.feed.snapshot();
        let room = FINDINGS_PER_SECOND_MAX.saturating_sub(self.second.findings);
        let news = self.news.take(&snapshot, room);
        if !news.is_empty() {
            self.sink.forget_vanished();
        }
        for Item { found, before } in news {
            if before.is_none() && found.finding.status == Status::Open {
                self.second.findings += 1;
                let facts = findings::session_of(&found, &snapshot);
                self.write(Entry::Finding(&found, &facts), now);
            }
        }
    }

    /// Whether it is worth trying: not while a failure is young.
    fn could_write(&self, now: Moment) -> bool {
        match self.health {
            Health::Well => self.settings.destination != Destination::Off,
            Health::Failing { retry_at, .. } => now >= retry_at,
        }
    }

    /// Answers whether the entry was written.
    fn write(&mut self, entry: Entry<'_>, now: Moment) -> bool {
        if self.settings.destination == Destination::Off {
            return false;
        }
        if let Health::Failing {
            reason, retry_at, ..
        } = self.health
            && now < retry_at
        {
            self.lose(reason, now);
            return false;
        }
        if let Err(error) = self.sink.open() {
            self.fail(OPEN_FAILED, &error, now);
            return false;
        }
        self.buffer.clear();
        let out = &mut self.buffer;
        match (entry, self.settings.format) {
            (Entry::Query(query), format) => {
                let at = self.clock.wall(query.exchange.completed_at);
                match format {
                    Format::Stderr => lines::stderr(out, query, at),
                    Format::Json => lines::json(out, query, at),
                }
            }
            // The time of writing: a log is read in the order of its lines.
            (Entry::Finding(found, facts), Format::Stderr) => {
                findings::stderr(out, found, facts, self.clock.wall(now));
            }
            (Entry::Finding(found, facts), Format::Json) => {
                findings::json(out, found, facts, self.clock.wall(now));
            }
        }
        match self.sink.append(self.buffer.as_bytes()) {
            Ok(()) => {
                self.recover();
                true
            }
            Err(error) => {
                self.fail(WRITE_FAILED, &error, now);
                false
            }
        }
    }

    fn fail(&mut self, reason: &'static str, error: &std::io::Error, now: Moment) {
        if self.health == Health::Well {
            tracing::warn!(reason, %error, path = %self.sink, "slow-query log cannot be written; its queries are counted instead");
        }
        self.sink.close();
        self.lose(reason, now);
        if let Health::Failing { retry_at, .. } = &mut self.health {
            *retry_at = Moment(now.0.saturating_add(PAUSE_NS));
        }
    }

    fn lose(&mut self, reason: &'static str, now: Moment) {
        (self.dropped)(reason);
        self.health = match self.health {
            Health::Well => Health::Failing {
                lost: 1,
                reason,
                retry_at: now,
            },
            Health::Failing { lost, retry_at, .. } => Health::Failing {
                lost: lost + 1,
                reason,
                retry_at,
            },
        };
    }

    fn recover(&mut self) {
        if let Health::Failing { lost, .. } = self.health {
            tracing::info!(lost, path = %self.sink, "slow-query log is written again");
            self.health = Health::Well;
        }
    }
}

/// A tick whose panic costs the entry in hand, and not the log.
fn guarded_tick(log: &mut SlowLog) {
    let now = log.clock.now();
    if catch_unwind(AssertUnwindSafe(|| log.tick(now))).is_err() {
        (log.dropped)(PANIC);
        tracing::error!("the slow-query log ended in a panic and goes on");
    }
}

/// What a running log is told.
enum Order {
    /// There is something to be written.
    Look,
    Reopen,
    Change(Settings),
    Watch(Arc<Feed>),
    End,
}

/// A [`SlowLog`] on its own thread, which sleeps while there is nothing to be written.
pub struct Writer {
    orders: mpsc::Sender<Order>,
    ended: mpsc::Receiver<()>,
    bell: Arc<Bell>,
}

impl Writer {
    /// Starts the thread; it writes what came a `tick` after the first of it, and all that goes on coming every `tick`.
    /// `bell` is rung for each query in the queue.
    pub fn start(mut log: SlowLog, tick: Duration, bell: Arc<Bell>) -> std::io::Result<Writer> {
        let (orders, inbox) = mpsc::channel();
        let (tell_end, ended) = mpsc::channel();
        let wake = orders.clone();
        bell.connect(move || {
            // A thread that is gone writes nothing more.
            let _ = wake.send(Order::Look);
        });
        let heard = Arc::clone(&bell);
        std::thread::Builder::new()
            .name("slow-log".to_owned())
            .spawn(move || {
                run(&mut log, &inbox, tick, &heard);
                guarded_tick(&mut log);
                // Nobody listens when the process ended first.
                let _ = tell_end.send(());
            })?;
        Ok(Writer {
            orders,
            ended,
            bell,
        })
    }

    /// See [`SlowLog::reopen`].
    pub fn reopen(&self) {
        // A thread that is gone has nothing open.
        let _ = self.orders.send(Order::Reopen);
    }

    /// See [`SlowLog::change`].
    pub fn change(&self, settings: Settings) {
        let _ = self.orders.send(Order::Change(settings));
    }

    /// See [`SlowLog::watch`].
    pub fn watch(&self, feed: Arc<Feed>) {
        feed.tell_news(Arc::clone(&self.bell));
        let _ = self.orders.send(Order::Watch(feed));
    }

    /// Writes what waits and ends the thread; false when it did not manage within `patience` (a disk that hangs).
    pub fn stop(self, patience: Duration) -> bool {
        let _ = self.orders.send(Order::End);
        self.ended.recv_timeout(patience).is_ok()
    }
}

/// The bell keeps the thread's orders open: without this it would wait for more of them.
impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
    }
}

/// Does what it is told, and writes, until it is told to end.
fn run(log: &mut SlowLog, inbox: &mpsc::Receiver<Order>, tick: Duration, bell: &Bell) {
    let mut sleeps = false;
    loop {
        let order = match sleeps {
            true => inbox.recv().map_err(mpsc::RecvTimeoutError::from),
            false => inbox.recv_timeout(tick),
        };
        match order {
            Ok(Order::Look) => sleeps = false,
            Ok(Order::Reopen) => log.reopen(),
            Ok(Order::Change(settings)) => log.change(settings),
            Ok(Order::Watch(feed)) => log.watch(feed),
            Ok(Order::End) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Where queries come one after the other none of them has to wake it.
                let came = !log.queue.is_empty();
                guarded_tick(log);
                if !came {
                    bell.listen();
                    sleeps = log.is_done();
                }
            }
        }
    }
}
