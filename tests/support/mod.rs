//! What the proxy's tests share: a tap that records, a server and a client that speak just enough, and waiting.
//!
//! Servers and clients are blocking sockets on threads, so that they have nothing in common with what they test.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pgprism::clock::Clock;
use pgprism::event::{Direction, Moment, OneByOne, Rest, SessionStart, Tap, Taps};
use pgprism::proxy::{
    ListenerSettings, Proxy, Settings, Timeouts, TlsMode, Tunables, UpstreamAddress,
};
use pgprism::registry::{ListenerSnapshot, Registry};

/// Long enough for a slow machine; only failing tests wait so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `is_true`, looking often.
#[track_caller]
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

// ---- the tap ----

/// Something a tap was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Bytes, and how many.
    Relayed(Direction, usize),
    Refused(Direction),
    Accepted(Direction),
    Finished(Direction),
    Closed,
}

/// Everything one tap was told.
#[derive(Debug)]
pub struct Record {
    pub start: SessionStart,
    pub to_upstream: Vec<u8>,
    pub to_client: Vec<u8>,
    pub told: Vec<(Told, Moment)>,
    /// What `rest` answers; otherwise the last bytes decide.
    pub rest: Option<Rest>,
}

impl Record {
    pub fn count(&self, told: Told) -> usize {
        self.told.iter().filter(|(one, _)| *one == told).count()
    }

    fn rest(&self) -> Rest {
        let last = self.told.iter().rev().find_map(|(told, _)| match told {
            Told::Relayed(direction, _) => Some(*direction),
            _ => None,
        });
        match (self.rest, last) {
            (Some(rest), _) => rest,
            (None, Some(Direction::UpstreamToClient)) if self.to_client.ends_with(READY) => {
                Rest::Idle
            }
            (None, Some(Direction::UpstreamToClient))
                if self.to_client.ends_with(READY_IN_TRANSACTION) =>
            {
                Rest::InTransaction
            }
            (None, Some(Direction::UpstreamToClient)) => Rest::InMessage,
            (None, Some(Direction::ClientToUpstream) | None) => Rest::BetweenMessages,
        }
    }
}

/// Makes taps that record; clones share the records.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Arc<Mutex<Record>>>>>);

impl Recorder {
    /// The record of the session that was opened as number `index`, once it is.
    #[track_caller]
    pub fn session(&self, index: usize) -> Arc<Mutex<Record>> {
        wait_until("the session is opened", || self.count() > index);
        Arc::clone(&self.0.lock().unwrap()[index])
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Taps for Recorder {
    type Tap = RecordingTap;
    type Showing<'a> = OneByOne;
    fn begin_showing(&self) -> OneByOne {
        OneByOne
    }
    fn open(&self, start: SessionStart) -> RecordingTap {
        let record = Arc::new(Mutex::new(Record {
            start,
            to_upstream: Vec::new(),
            to_client: Vec::new(),
            told: Vec::new(),
            rest: None,
        }));
        self.0.lock().unwrap().push(Arc::clone(&record));
        RecordingTap(record)
    }
}

#[derive(Debug)]
pub struct RecordingTap(Arc<Mutex<Record>>);

impl RecordingTap {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }
}

impl Tap for RecordingTap {
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        let mut record = self.record();
        match direction {
            Direction::ClientToUpstream => record.to_upstream.extend_from_slice(bytes),
            Direction::UpstreamToClient => record.to_client.extend_from_slice(bytes),
        }
        record
            .told
            .push((Told::Relayed(direction, bytes.len()), at));
    }
    fn refused(&mut self, direction: Direction, at: Moment) {
        self.record().told.push((Told::Refused(direction), at));
    }
    fn accepted(&mut self, direction: Direction, at: Moment) {
        self.record().told.push((Told::Accepted(direction), at));
    }
    fn finished(&mut self, direction: Direction, at: Moment) {
        self.record().told.push((Told::Finished(direction), at));
    }
    fn closed(&mut self, at: Moment) {
        self.record().told.push((Told::Closed, at));
    }
    fn rest(&self) -> Rest {
        self.record().rest()
    }
}

/// Makes taps that only count: for tests of memory.
#[derive(Debug, Clone, Default)]
pub struct Deaf;

impl Taps for Deaf {
    type Tap = Deaf;
    type Showing<'a> = OneByOne;
    fn begin_showing(&self) -> OneByOne {
        OneByOne
    }
    fn open(&self, _: SessionStart) -> Deaf {
        Deaf
    }
}

impl Tap for Deaf {
    fn relayed(&mut self, _: Direction, _: &[u8], _: Moment) {}
    fn refused(&mut self, _: Direction, _: Moment) {}
    fn accepted(&mut self, _: Direction, _: Moment) {}
    fn finished(&mut self, _: Direction, _: Moment) {}
    fn closed(&mut self, _: Moment) {}
    fn rest(&self) -> Rest {
        Rest::Unknown
    }
}

// ---- the proxy ----

/// A running proxy with what its test needs to know.
pub struct Running {
    pub proxy: Proxy,
    pub registry: Arc<Registry>,
    pub recorder: Recorder,
    pub settings: Settings,
}

pub fn tcp(address: SocketAddr) -> UpstreamAddress {
    UpstreamAddress::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

pub fn listener(name: &str, upstream: UpstreamAddress) -> ListenerSettings {
    ListenerSettings {
        name: name.into(),
        listen: "127.0.0.1:0".to_owned(),
        upstream,
        upstream_tls: None,
        tls: TlsMode::Off,
        observe: true,
    }
}

/// One listener, short time limits.
pub fn settings(upstream: UpstreamAddress) -> Settings {
    Settings {
        listeners: vec![listener("default", upstream)],
        tunables: Tunables {
            connections_max: 100,
            timeouts: Timeouts {
                connect: Duration::from_secs(2),
                login: PATIENCE,
                drain_idle_grace: Duration::from_millis(50),
                drain_timeout: PATIENCE,
                ..Timeouts::default()
            },
            ..Tunables::default()
        },
        reuse_port: false,
        sockets: Vec::new(),
        probe_interval: None,
    }
}

pub fn start(settings: Settings) -> Running {
    let recorder = Recorder::default();
    start_with(settings, recorder.clone(), recorder)
}

/// A proxy of two workers with `taps`, which `recorder` may belong to.
fn start_with<T>(settings: Settings, taps: T, recorder: Recorder) -> Running
where
    T: Taps + Clone + Send + Sync + 'static,
    T::Tap: Send,
{
    let registry = Arc::new(Registry::new());
    let proxy = Proxy::start(
        settings.clone(),
        Arc::clone(&registry),
        Clock::start(),
        vec![taps.clone(), taps],
    )
    .unwrap();
    Running {
        proxy,
        registry,
        recorder,
        settings,
    }
}

/// [`start_before`] where so much flows that it cannot be recorded.
pub fn start_deaf_before(server: &Server) -> Running {
    start_with(settings(tcp(server.address)), Deaf, Recorder::default())
}

/// A proxy in front of `server`, with the settings of [`settings`].
pub fn start_before(server: &Server) -> Running {
    start(settings(tcp(server.address)))
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.proxy.bound_addresses()[0].1
    }

    pub fn figures(&self) -> ListenerSnapshot {
        self.registry.snapshot().listeners.remove(0)
    }

    /// A connected client that has said nothing.
    pub fn dial(&self) -> TcpStream {
        dial(self.address())
    }

    /// A client that has logged in; the upstream must be one that answers [`LOGIN`] to a StartupMessage.
    pub fn client(&self) -> TcpStream {
        let mut client = self.dial();
        client.write_all(&startup("ada")).unwrap();
        expect(&mut client, LOGIN);
        client
    }

    #[track_caller]
    pub fn wait_no_connections(&self) {
        wait_until("all connections are closed", || {
            let figures = self.figures();
            figures.client_connections == 0
                && figures.upstream_connections == 0
                && self.registry.connections().is_empty()
        });
    }

    /// Waits until so many logins, at all listeners together, are noted: a client has its answer a little earlier.
    pub fn wait_logins(&self, count: u64) {
        wait_until("the logins are noted", || {
            let listeners = self.registry.snapshot().listeners;
            let noted = listeners.iter().map(|one| one.connect_duration.count());
            noted.sum::<u64>() == count
        });
    }

    /// Waits for the end of a drain, on a runtime of its own.
    pub fn wait_ended(&self) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(async { tokio::time::timeout(PATIENCE, self.proxy.wait()).await })
            .expect("the proxy ends");
    }
}

// ---- the wire ----

pub const READY: &[u8] = b"Z\0\0\0\x05I";
pub const READY_IN_TRANSACTION: &[u8] = b"Z\0\0\0\x05T";
/// AuthenticationOk, BackendKeyData (process 7, secret `keys`), ReadyForQuery.
pub const LOGIN: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07keysZ\0\0\0\x05I";
pub const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
pub const GSSENC_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

pub fn startup(user: &str) -> Vec<u8> {
    let body = format!("user\0{user}\0database\0shop\0application_name\0tests\0\0");
    packet(196_608, body.as_bytes())
}

pub fn cancel_request(key: &[u8]) -> Vec<u8> {
    packet(80_877_102, key)
}

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

/// The login of a server whose BackendKeyData carries `key`.
pub fn login_with_key(key: &[u8]) -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'K', key), READY.to_vec()].concat()
}

// ---- sockets ----

pub fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    prepare(&stream);
    stream
}

fn prepare(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// Reads exactly as many bytes and compares them.
#[track_caller]
pub fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(
        received == bytes,
        "{:?} instead of {:?}",
        String::from_utf8_lossy(&received),
        String::from_utf8_lossy(bytes)
    );
}

/// Reads to the FIN.
#[track_caller]
pub fn read_rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

/// The next startup packet, its length bytes included.
pub fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).unwrap();
    let length = u32::from_be_bytes(packet[..].try_into().unwrap());
    packet.resize(length as usize, 0);
    stream.read_exact(&mut packet[4..]).unwrap();
    packet
}

/// Closes with a reset.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

#[track_caller]
pub fn expect_reset(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("FIN instead of a reset"),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                return;
            }
        }
    }
}

/// The SQLSTATE of an ErrorResponse of the proxy's own, which must be all of `bytes`.
#[track_caller]
pub fn own_error(bytes: &[u8]) -> &str {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(bytes.first(), Some(&b'E'), "{}", text());
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
    assert_eq!(length as usize + 1, bytes.len(), "{}", text());
    let mut fields = bytes[5..].split(|byte| *byte == 0);
    assert_eq!(fields.next(), Some(&b"SFATAL"[..]), "{}", text());
    assert_eq!(fields.next(), Some(&b"VFATAL"[..]), "{}", text());
    let code = fields.next().unwrap();
    assert!(
        fields.next().unwrap().starts_with(b"Mpgprism: "),
        "{}",
        text()
    );
    std::str::from_utf8(code.strip_prefix(b"C").unwrap()).unwrap()
}

// ---- the server ----

/// A server whose every connection is served by a script, on a thread of its own. A panic in a script fails the test
/// when the server is dropped.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

impl Server {
    pub fn start(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        Server::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn start_on(
        listener: TcpListener,
        script: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Server {
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let script = Arc::new(script);
        let thread = std::thread::spawn(move || {
            let mut scripts = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let stream = stream.unwrap();
                prepare(&stream);
                let script = Arc::clone(&script);
                scripts.push(std::thread::spawn(move || script(stream)));
            }
            scripts
        });
        Server {
            address,
            stop,
            thread: Some(thread),
        }
    }

    /// A server that reads the StartupMessage, answers [`LOGIN`] and then follows the script.
    pub fn after_login(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        Server::start(move |mut stream| {
            read_packet(&mut stream);
            stream.write_all(LOGIN).unwrap();
            script(stream);
        })
    }

    /// A server that answers everything with the same bytes until the FIN.
    pub fn echo() -> Server {
        Server::after_login(|mut stream| {
            let mut buffer = vec![0; 65536];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
            let _ = stream.shutdown(Shutdown::Write);
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Lets `accept` return.
        let _ = TcpStream::connect(self.address);
        let scripts = self.thread.take().unwrap().join().unwrap();
        for script in scripts {
            let result = script.join();
            if !std::thread::panicking() {
                result.expect("the server's script");
            }
        }
    }
}
