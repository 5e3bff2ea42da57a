//! One whole life of a connection: client, network, proxy and server under one clock, which jumps from one thing that
//! happens to the next. Everything that is left to chance is decided by the seed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use pgprism::aggregate::{self, Store};
use pgprism::event::{
    ConnectionStatus, Direction, Moment, Observed, QueryEvent, Rest, SessionId, SessionStart, Tap,
    Taps,
};
use pgprism::observer::{Guarded, Observer, Reader, Ring, SessionTap, Shared};
use pgprism::proxy::relay::{End, Meter, READ_BYTES_MAX, Relay, Side as Peer};
use pgprism::session;

use crate::client::{Client, Ending};
use crate::network::{Found, Happening, Network, Sabotage, Side, Socket, Way};
use crate::random::Random;
use crate::server::Server;

/// When everything that was out of order is in order again.
const HEALED_AT: u64 = 2_000_000_000;
/// Things that may happen: before that, and from then to the end.
const EVENTS_MAX: u32 = 2_000_000;
const EVENTS_AFTER_HEALING_MAX: u32 = 400_000;
/// Polls in a row that move nothing.
const IDLE_POLLS_MAX: u32 = 30;

/// What happened in a life that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) queries: usize,
    pub(crate) bytes: [usize; 2],
    pub(crate) events: u32,
    pub(crate) was_reset: bool,
    pub(crate) was_observed: bool,
    pub(crate) is_whole: bool,
}

/// Lives through the seed; the error says which rule was broken.
pub(crate) fn live(seed: u64, sabotage: Option<Sabotage>) -> Result<Summary, String> {
    let world = World::new(seed, sabotage);
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(result) => result,
        Err(panic) => Err(format!(
            "panic: {}",
            panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("?")
        )),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Network(Happening),
    Turn(Turn),
    Fault(Fault),
    /// The client has waited long enough.
    Alarm,
    /// Whoever has rested goes on, and everything works.
    Heal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Client,
    Server,
    /// A wake-up for nothing.
    Proxy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Stall(Side, Way),
    ClientLazy,
    ServerSlow,
    /// An administrator ends the session.
    ServerTerminates,
    /// The server's process dies.
    ServerResets,
    /// It closes without a word.
    ServerCloses,
    ClientResets,
}

/// The flag that wakes the proxy's task.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts of three scripted peers"
)]
struct World {
    random: Random,
    network: Rc<RefCell<Network>>,
    agenda: BTreeSet<(u64, u64, Event)>,
    sequence: u64,
    client: Client,
    client_rests_until: u64,
    alarm: Option<u64>,
    /// Whose turn is on the agenda.
    is_due: [bool; 3],
    client_is_gone: bool,
    server: Server,
    server_rests_until: u64,
    server_is_gone: bool,
    server_heard_fin: bool,
    /// Somebody ended it before its time.
    is_cut_short: bool,
    is_observer_faulty: bool,
    proxy: Option<Relay<Socket, Socket>>,
    end: Option<End>,
    tap: Watched,
    woken: Arc<Woken>,
    store: Arc<Store>,
    shared: Arc<Shared>,
    ring: Ring,
    events: u32,
    healed_after: Option<u32>,
}

impl World {
    fn new(seed: u64, sabotage: Option<Sabotage>) -> World {
        let mut random = Random::new(seed);
        let network = Network::new(random.fork(), sabotage);
        let asks_password = random.chance(30);
        let client = Client::new(random.fork(), asks_password);
        let server = Server::new(random.fork(), asks_password);
        if client.is_bulky {
            network.borrow_mut().widen();
        }
        let store = Store::new(&aggregate::Settings::default());
        let settings = session::Settings {
            values: random
                .chance(50)
                .then(pgprism::sql::value::ValueKey::random),
            ..session::Settings::default()
        };
        let shared = Shared::new(settings, u64::MAX, 64 << 20, 1, 1 << 24);
        let observer = Observer::new(Arc::clone(&shared), &store, 1 << 14);
        let ring = observer.ring();
        let status = Arc::new(ConnectionStatus::default());
        let start = SessionStart {
            id: SessionId(seed),
            listener: "default".into(),
            client: "127.0.0.1".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: "".into(),
            accepted_at: Moment(0),
            opened_at: Moment(0),
            status: Arc::clone(&status),
            observe: Arc::new(AtomicBool::new(true)),
        };
        let calls_left = random.chance(8).then(|| random.between(0, 60));
        let faulty = Faulty {
            inner: observer.open(start),
            calls_left,
        };
        let tap = Watched {
            inner: Guarded::new(faulty, Arc::clone(&store), status),
            network: Rc::clone(&network),
            shown: [0; 2],
            is_finished: [false; 2],
        };
        let socket = |side| Socket {
            side,
            network: Rc::clone(&network),
        };
        let proxy = Relay::new(socket(Side::Client), socket(Side::Upstream));
        let mut world = World {
            random,
            network,
            agenda: BTreeSet::new(),
            sequence: 0,
            client,
            client_rests_until: 0,
            alarm: None,
            is_due: [false; 3],
            client_is_gone: false,
            server,
            server_rests_until: 0,
            server_is_gone: false,
            server_heard_fin: false,
            is_cut_short: false,
            is_observer_faulty: calls_left.is_some(),
            proxy: Some(proxy),
            end: None,
            tap,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            store,
            shared,
            ring,
            events: 0,
            healed_after: None,
        };
        world.at(HEALED_AT, Event::Heal);
        world.at(0, Event::Turn(Turn::Client));
        world.at(0, Event::Turn(Turn::Server));
        world.plan_faults();
        world
    }

    fn plan_faults(&mut self) {
        let sides = [Side::Client, Side::Upstream];
        let ways = [Way::ToPeer, Way::ToProxy];
        for _ in 0..self.random.size(0, 6) {
            let fault = match self.random.size(0, 4) {
                0 | 1 => Fault::Stall(self.random.pick(&sides), self.random.pick(&ways)),
                2 => Fault::ClientLazy,
                _ => Fault::ServerSlow,
            };
            self.fault(fault);
        }
        if self.random.chance(25) {
            let fault = self.random.pick(&[
                Fault::ServerTerminates,
                Fault::ServerResets,
                Fault::ServerCloses,
                Fault::ClientResets,
            ]);
            self.fault(fault);
        }
    }

    fn fault(&mut self, fault: Fault) {
        let at = match self.random.chance(50) {
            true => self.random.between(0, 3_000_000),
            false => self.random.between(0, HEALED_AT),
        };
        self.at(at, Event::Fault(fault));
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence, event));
    }

    fn now(&self) -> u64 {
        self.network.borrow().now
    }

    // ---- the story ----

    fn run(mut self) -> Result<Summary, String> {
        loop {
            if self.woken.0.swap(false, Ordering::Relaxed) {
                self.poll()?;
            }
            self.take_over();
            if self.woken.0.load(Ordering::Relaxed) {
                // Others get their turn in between, as in a real runtime, but time does not pass.
                if self.random.chance(50) {
                    continue;
                }
            }
            let Some((at, _, event)) = self.agenda.pop_first() else {
                if self.woken.0.load(Ordering::Relaxed) {
                    continue;
                }
                break;
            };
            self.events += 1;
            self.check_progress()?;
            {
                let mut network = self.network.borrow_mut();
                network.now = network.now.max(at);
            }
            self.happen(event);
            if self.is_over() {
                break;
            }
        }
        self.judge()
    }

    fn is_over(&self) -> bool {
        self.client_is_gone && self.server_is_gone && self.proxy.is_none()
    }

    fn check_progress(&mut self) -> Result<(), String> {
        let after_healing = self.healed_after.map_or(0, |before| self.events - before);
        if self.events > EVENTS_MAX || after_healing > EVENTS_AFTER_HEALING_MAX {
            return Err(format!("it does not end: {}", self.state()));
        }
        if let Some(violation) = &self.network.borrow().violation {
            return Err(violation.clone());
        }
        Ok(())
    }

    fn state(&self) -> String {
        format!(
            "client gone: {}, done: {}; server gone: {}, at rest: {}; proxy: {:?}; bytes sent {:?}, written {:?}",
            self.client_is_gone,
            self.client.is_done(),
            self.server_is_gone,
            self.server.is_at_rest(),
            self.end,
            self.network.borrow().sent.each_ref().map(Vec::len),
            self.network.borrow().written.each_ref().map(Vec::len),
        )
    }

    /// What the network plans becomes the world's.
    fn take_over(&mut self) {
        let planned = std::mem::take(&mut self.network.borrow_mut().agenda);
        for (at, happening) in planned {
            self.at(at, Event::Network(happening));
        }
    }

    fn happen(&mut self, event: Event) {
        self.network.borrow_mut().idle_polls = 0;
        match event {
            Event::Network(happening) => {
                let wakes = self.network.borrow_mut().happen(happening);
                let side = match happening {
                    Happening::Tick(side, _)
                    | Happening::Reset(side, _)
                    | Happening::Room(side) => Some(side),
                    Happening::Shutdown(_) => None,
                };
                match (wakes, side) {
                    (true, Some(Side::Client)) => self.soon(Turn::Client),
                    (true, Some(Side::Upstream)) => self.soon(Turn::Server),
                    _ => {}
                }
            }
            Event::Turn(turn) => {
                self.is_due[turn as usize] = false;
                match turn {
                    Turn::Client => self.client_turn(),
                    Turn::Server => self.server_turn(),
                    Turn::Proxy => self.woken.0.store(true, Ordering::Relaxed),
                }
            }
            Event::Alarm => self.soon(Turn::Client),
            Event::Fault(fault) => self.befall(fault),
            Event::Heal => {
                self.healed_after = Some(self.events);
                self.network.borrow_mut().heal();
                self.client_rests_until = 0;
                self.server_rests_until = 0;
                self.soon(Turn::Client);
                self.soon(Turn::Server);
            }
        }
        if self.random.chance(2) && self.healed_after.is_none() {
            self.soon(Turn::Proxy);
        }
    }

    fn soon(&mut self, turn: Turn) {
        if std::mem::replace(&mut self.is_due[turn as usize], true) {
            return;
        }
        let delay = match self.healed_after {
            None => self.random.pick(&[0, 1, 10_000, 300_000]),
            Some(_) => 1,
        };
        let at = self.now() + self.random.between(0, delay + 1);
        self.at(at, Event::Turn(turn));
    }

    fn befall(&mut self, fault: Fault) {
        let until = self.now() + self.random.between(0, HEALED_AT);
        match fault {
            Fault::Stall(side, way) => self.network.borrow_mut().stall(side, way, until),
            Fault::ClientLazy => {
                self.client_rests_until = until;
                self.at(until, Event::Turn(Turn::Client));
            }
            Fault::ServerSlow => {
                self.server_rests_until = until;
                self.at(until, Event::Turn(Turn::Server));
            }
            Fault::ServerTerminates => {
                if !self.server_is_gone {
                    self.is_cut_short = true;
                    self.server.terminate();
                    self.soon(Turn::Server);
                }
            }
            Fault::ServerResets => {
                if !self.server_is_gone {
                    self.is_cut_short = true;
                    self.server_is_gone = true;
                    self.network.borrow_mut().peer_resets(Side::Upstream);
                }
            }
            Fault::ServerCloses => {
                if !self.server_is_gone {
                    self.is_cut_short = true;
                    self.server_is_gone = true;
                    self.network.borrow_mut().peer_closes(Side::Upstream);
                }
            }
            Fault::ClientResets => {
                if !self.client_is_gone {
                    self.is_cut_short = true;
                    self.client_is_gone = true;
                    self.network.borrow_mut().peer_resets(Side::Client);
                }
            }
        }
    }

    // ---- the peers ----

    /// How much a peer reads at once.
    fn appetite(&mut self) -> usize {
        match self.healed_after {
            Some(_) => usize::MAX,
            None => self
                .random
                .pick(&[1, 100, 8_192, 8_192, usize::MAX, usize::MAX]),
        }
    }

    fn client_turn(&mut self) {
        let now = self.now();
        if self.client_is_gone {
            return;
        }
        if now < self.client_rests_until {
            return;
        }
        let most = self.appetite();
        let mut network = self.network.borrow_mut();
        let found = network.peer_reads(Side::Client, most, &mut self.client.input);
        self.client.hear();
        match found {
            Found::Fin | Found::Reset => {
                network.peer_closes(Side::Client);
                self.client_is_gone = true;
                return;
            }
            Found::Bytes | Found::Nothing => {}
        }
        let has_more = found == Found::Bytes;
        loop {
            let bytes = self.client.outgoing(now);
            if bytes.is_empty() {
                break;
            }
            let count = network.peer_writes(Side::Client, bytes);
            self.client.went(count);
            if count == 0 {
                break;
            }
        }
        if self.client.is_done() && !self.client.has_ended {
            match self.client.ending {
                Ending::Terminate if self.client.is_whole => {
                    self.client.say_goodbye();
                    drop(network);
                    return self.soon(Turn::Client);
                }
                Ending::Terminate | Ending::Finish => network.peer_finishes(Side::Client),
                Ending::Close => {
                    self.is_cut_short = true;
                    self.client_is_gone = true;
                    network.peer_closes(Side::Client);
                }
                Ending::Reset => {
                    self.is_cut_short = true;
                    self.client_is_gone = true;
                    network.peer_resets(Side::Client);
                }
            }
            self.client.has_ended = true;
        }
        drop(network);
        if has_more {
            self.soon(Turn::Client);
        }
        let alarm = self.client.alarm().filter(|alarm| *alarm > now);
        if alarm != std::mem::replace(&mut self.alarm, alarm)
            && let Some(alarm) = alarm
        {
            self.at(alarm, Event::Alarm);
        }
    }

    fn server_turn(&mut self) {
        let now = self.now();
        if self.server_is_gone {
            return;
        }
        if now < self.server_rests_until {
            return;
        }
        let most = self.appetite();
        let mut network = self.network.borrow_mut();
        // A server that is busy with its answers does not read.
        let most = if self.server.is_blocked() { 0 } else { most };
        let found = network.peer_reads(Side::Upstream, most, &mut self.server.input);
        self.server_heard_fin |= found == Found::Fin;
        let thinks = self.healed_after.is_none() && self.random.chance(30);
        let mut stepped = false;
        for _ in 0..if thinks { 1 } else { 1_000 } {
            if !self.server.step() {
                break;
            }
            stepped = true;
        }
        let was_blocked = self.server.is_blocked();
        while !self.server.outgoing().is_empty() {
            let count = network.peer_writes(Side::Upstream, self.server.outgoing());
            self.server.went(count);
            if count == 0 {
                break;
            }
        }
        let is_free_again = was_blocked && !self.server.is_blocked();
        let has_more = found == Found::Bytes || is_free_again;
        let has_said_all = self.server.outgoing().is_empty();
        let has_heard_all = self.server_heard_fin && !stepped && !was_blocked;
        if found == Found::Reset || (has_said_all && (self.server.is_closing() || has_heard_all)) {
            self.server_is_gone = true;
            network.peer_closes(Side::Upstream);
            return;
        }
        drop(network);
        if has_more || stepped || self.server_heard_fin && has_said_all {
            self.soon(Turn::Server);
        }
    }

    // ---- the proxy ----

    fn poll(&mut self) -> Result<(), String> {
        let Some(relay) = &mut self.proxy else {
            return Ok(());
        };
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        self.network.borrow_mut().idle_polls += 1;
        let clock = VirtualClock(Rc::clone(&self.network));
        let polled = relay.poll(&mut cx, &mut self.tap, &clock);
        {
            let network = self.network.borrow();
            if let Some(violation) = &network.violation {
                return Err(violation.clone());
            }
            for way in 0..2 {
                let held = network.read_bytes[way]
                    - network.written[way].len().min(network.read_bytes[way]);
                // A direction whose sink has failed keeps nothing; what it had read is lost with its peer.
                if held > READ_BYTES_MAX && !network.was_reset {
                    return Err(format!("{held} bytes are held"));
                }
                if self.tap.shown[way] != network.written[way].len() {
                    return Err(format!(
                        "{} bytes shown to the tap, {} written",
                        self.tap.shown[way],
                        network.written[way].len()
                    ));
                }
            }
            if network.idle_polls > IDLE_POLLS_MAX && self.woken.0.load(Ordering::Relaxed) {
                return Err("it wakes itself again and again and moves nothing".to_owned());
            }
        }
        if let Poll::Ready(end) = polled {
            self.check_name(&end)?;
            self.close(end);
        }
        Ok(())
    }

    /// Whoever is named as lost has failed.
    fn check_name(&self, end: &End) -> Result<(), String> {
        let side = match end {
            End::Finished { .. } => return Ok(()),
            End::Lost {
                side: Peer::Client, ..
            } => Side::Client,
            End::Lost {
                side: Peer::Upstream,
                ..
            } => Side::Upstream,
        };
        if self.network.borrow().has_failed(side) {
            return Ok(());
        }
        Err(format!("the {side:?} is told to have failed: {end:?}"))
    }

    /// What the connection does with a relay that has ended.
    fn close(&mut self, end: End) {
        let now = Moment(self.now());
        self.tap.closed(now);
        if let Some(Relay {
            client, upstream, ..
        }) = self.proxy.take()
        {
            match &end {
                End::Finished { .. } => {}
                End::Lost {
                    side: Peer::Client, ..
                } => upstream.reset(),
                End::Lost {
                    side: Peer::Upstream,
                    ..
                } => client.reset(),
            }
        }
        self.end = Some(end);
    }

    // ---- the verdict ----

    fn judge(self) -> Result<Summary, String> {
        let state = self.state();
        let network = self.network.borrow();
        if let Some(violation) = &network.violation {
            return Err(violation.clone());
        }
        let Some(end) = &self.end else {
            return Err(format!("the proxy waits for ever: {state}"));
        };
        if !self.client_is_gone || !self.server_is_gone {
            return Err(format!("a peer waits for ever: {state}"));
        }
        let is_finished = matches!(end, End::Finished { .. });
        if !network.was_reset {
            if !is_finished {
                return Err(format!("nobody was reset, and yet: {end:?}"));
            }
            for way in 0..2 {
                if network.sent[way] != network.written[way] {
                    return Err(format!("bytes are missing at the end: {state}"));
                }
            }
        }
        let reported = self.reported();
        let unobserved = self.store.health().sessions_unobserved();
        let was_observed = unobserved.is_empty();
        let is_meant =
            self.is_observer_faulty && unobserved.iter().all(|count| count.reason == "panic");
        if !was_observed && !is_meant {
            return Err(format!("no longer observed: {unobserved:?}"));
        }
        let shown = network.written[Side::Upstream as usize].len();
        let is_whole = self.client.is_whole
            && !self.is_cut_short
            && self.server.is_at_rest()
            && !network.was_reset;
        self.server
            .ledger
            .compare(&reported, shown, is_whole, was_observed)?;
        self.store.collect(Moment(network.now));
        if self.store.summary().queries != reported.len() as u64 {
            return Err(format!(
                "{} queries counted, {} reported",
                self.store.summary().queries,
                reported.len()
            ));
        }
        if !self.store.health().events_dropped().is_empty() {
            return Err("events were dropped".to_owned());
        }
        let held = self.shared.session_bytes();
        if held != 0 {
            return Err(format!(
                "{held} bytes of the session are still accounted for"
            ));
        }
        Ok(Summary {
            queries: reported.len(),
            bytes: network.sent.each_ref().map(Vec::len),
            events: self.events,
            was_reset: network.was_reset,
            was_observed,
            is_whole,
        })
    }

    fn reported(&self) -> Vec<QueryEvent> {
        Reader::new(self.ring.clone())
            .take_all()
            .into_iter()
            .filter_map(|observed| match observed {
                Observed::Query(event) => Some(event),
                Observed::Rows(_) | Observed::Closed(_) => None,
            })
            .collect()
    }
}

/// Time is the network's.
struct VirtualClock(Rc<RefCell<Network>>);

impl Meter for VirtualClock {
    fn now(&self) -> Moment {
        Moment(self.0.borrow().now)
    }
    fn wrote(&self, _: Direction, _: usize) {}
    fn forwarded(&self, _: Direction, _: Moment, _: Option<Moment>) {}
}

/// An observer that panics after so many calls, if it is to.
struct Faulty {
    inner: Guarded<SessionTap>,
    calls_left: Option<u64>,
}

impl Faulty {
    fn call(&mut self) {
        match &mut self.calls_left {
            // Without the panic hook's words: it is meant.
            Some(0) => std::panic::resume_unwind(Box::new("injected")),
            Some(left) => *left -= 1,
            None => {}
        }
    }
}

impl Tap for Faulty {
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        self.call();
        self.inner.relayed(direction, bytes, at);
    }
    fn refused(&mut self, direction: Direction, at: Moment) {
        self.call();
        self.inner.refused(direction, at);
    }
    fn accepted(&mut self, direction: Direction, at: Moment) {
        self.call();
        self.inner.accepted(direction, at);
    }
    fn finished(&mut self, direction: Direction, at: Moment) {
        self.call();
        self.inner.finished(direction, at);
    }
    fn closed(&mut self, at: Moment) {
        self.call();
        self.inner.closed(at);
    }
    fn rest(&self) -> Rest {
        self.inner.rest()
    }
}

/// The tap as the relay sees it: checks that it is shown what was written, then hands it on.
struct Watched {
    inner: Guarded<Faulty>,
    network: Rc<RefCell<Network>>,
    shown: [usize; 2],
    is_finished: [bool; 2],
}

impl Watched {
    fn violate(&self, what: &str) {
        let mut network = self.network.borrow_mut();
        network.violation.get_or_insert_with(|| what.to_owned());
    }
}

impl Tap for Watched {
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        let way = direction as usize;
        let start = self.shown[way];
        self.shown[way] += bytes.len();
        let is_right = {
            let network = self.network.borrow();
            network.written[way].get(start..self.shown[way]) == Some(bytes)
        };
        if !is_right || self.is_finished[way] {
            self.violate("the tap is shown other bytes than were written");
        }
        self.inner.relayed(direction, bytes, at);
        // Asked at any time, as the drain does.
        let _ = self.inner.rest();
    }
    fn refused(&mut self, direction: Direction, at: Moment) {
        self.inner.refused(direction, at);
    }
    fn accepted(&mut self, direction: Direction, at: Moment) {
        self.inner.accepted(direction, at);
    }
    fn finished(&mut self, direction: Direction, at: Moment) {
        if std::mem::replace(&mut self.is_finished[direction as usize], true) {
            self.violate("a FIN is told twice");
        }
        self.inner.finished(direction, at);
    }
    fn closed(&mut self, at: Moment) {
        self.inner.closed(at);
    }
    fn rest(&self) -> Rest {
        self.inner.rest()
    }
}
