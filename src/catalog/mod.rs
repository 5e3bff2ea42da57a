//! Asks the database itself for keys and constraints, so that advice can be certain: an optional connection of its own.
//!
//! One thread looks every few seconds at the tables that findings are about ([`Guide::tables`]), asks the catalogue
//! about those that it does not know or has not asked about for a while, and tells the [`Guide`]. The connection is read
//! only, its statements are small and have a time limit, and it closes when nothing was asked for a while.
//!
//! *Architecture invariant:* nothing waits for it and nothing needs it. What it cannot find out stays unknown, costs one
//! line in the log, and is counted.

mod address;
mod ask;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::advise::{Guide, Relations};
use crate::aggregate::Store;

pub use address::{Address, AddressError};

use ask::{Answer, AskError, Connection};

/// How the catalogue is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where.
    pub address: Address,
    /// How often the tables of new findings are looked for. Findings are made once a unit, people read them later.
    pub look_every: Duration,
    /// When a table that was asked about is asked about again: a migration may have changed it.
    pub refresh_after: Duration,
    /// When a connection that failed is tried again; doubled with each failure, up to `refresh_after`.
    pub retry_after: Duration,
}

impl Settings {
    /// The pace that suits an address in production.
    pub fn of(address: Address) -> Settings {
        Settings {
            address,
            look_every: Duration::from_secs(2),
            refresh_after: Duration::from_mins(10),
            retry_after: Duration::from_secs(5),
        }
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Catalog {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Catalog {
    /// Starts the thread; it tells `guide` what it finds out, and `store`'s health how often it could not.
    pub fn start(settings: Settings, guide: Arc<Guide>, store: Arc<Store>) -> io::Result<Catalog> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let mut reader = Reader::new(settings, guide, store);
                    tokio::select! {
                        () = reader.run() => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Catalog {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Catalog {
    /// Ends the thread: what it waits for is dropped.
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It has ended by itself if nobody listens.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

/// When a table was asked about.
struct Known {
    asked_at: Instant,
    answer: Option<Answer>,
}

struct Reader {
    settings: Settings,
    guide: Arc<Guide>,
    store: Arc<Store>,
    /// Bounded by what the guide remembers.
    known: BTreeMap<String, Known>,
    failures: u32,
}

impl Reader {
    fn new(settings: Settings, guide: Arc<Guide>, store: Arc<Store>) -> Reader {
        Reader {
            settings,
            guide,
            store,
            known: BTreeMap::new(),
            failures: 0,
        }
    }

    async fn run(&mut self) {
        loop {
            tokio::time::sleep(self.pause()).await;
            let due = self.due();
            if due.is_empty() {
                continue;
            }
            match self.ask(&due).await {
                Ok(()) if self.failures > 0 => {
                    self.failures = 0;
                    tracing::info!(address = %self.settings.address, "the catalogue answers again");
                }
                Ok(()) => {}
                Err(error) => {
                    self.store.health().catalog_failed(error.reason());
                    if self.failures == 0 {
                        tracing::warn!(
                            address = %self.settings.address,
                            "the catalogue does not answer, advice goes by names: {error}"
                        );
                    }
                    self.failures = self.failures.saturating_add(1);
                }
            }
            self.tell();
        }
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => self.settings.look_every,
            failures => {
                let doubled = 2_u32.saturating_pow(failures - 1);
                let retry = self.settings.retry_after.saturating_mul(doubled);
                retry.min(self.settings.refresh_after)
            }
        }
    }

    /// The tables that were never asked about, or not for a while.
    fn due(&self) -> Vec<String> {
        let is_due = |table: &String| {
            let known = self.known.get(table);
            known.is_none_or(|known| known.asked_at.elapsed() >= self.settings.refresh_after)
        };
        self.guide.tables().into_iter().filter(is_due).collect()
    }

    /// Asks about `tables` over one connection, which ends with the last answer.
    async fn ask(&mut self, tables: &[String]) -> Result<(), AskError> {
        let connection = Connection::open(&self.settings.address).await?;
        let mut refused = Ok(());
        for table in tables {
            let answer = match connection.about(table).await {
                Ok(answer) => answer,
                // It stays unknown until it is due again; the others shall not wait for it.
                Err(error) if error.is_about_one_table() => {
                    refused = Err(error);
                    None
                }
                Err(error) => return Err(error),
            };
            let asked_at = Instant::now();
            self.known.insert(table.clone(), Known { asked_at, answer });
        }
        refused
    }

    fn tell(&self) {
        let mut relations = Relations::default();
        for (table, known) in &self.known {
            if let Some(answer) = &known.answer {
                relations.learn(table.clone(), answer.keys.clone());
            }
        }
        self.guide.set_relations(relations);
    }
}

#[cfg(test)]
mod tests;
