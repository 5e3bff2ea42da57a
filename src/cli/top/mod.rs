//! `top`: a running proxy in the terminal, live.
//!
//! [`poller`] asks the proxy on a thread of its own and sends [`Event`]s, as [`terminal`] does for keys and signals.
//! [`state`] is what is shown, [`keys`] what a key makes of it, [`draw`] how it looks; each knows neither of the
//! others' threads nor the terminal. [`sheet`] is a table of whatever [`rows`] there are, [`page`] a text to scroll in,
//! [`rates`] the difference of two answers.

mod draw;
mod keys;
mod look;
mod page;
mod poller;
mod rates;
mod rows;
mod sheet;
mod state;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Failure;
use super::client::{Place, Proxy};
use crate::clock::Clock;
use crate::event::Moment;
use keys::{Effect, Key};
use look::{Colours, Look, Paint};
use poller::{Answer, Desk};
use state::{State, View};
use terminal::Screen;

/// Events that wait to be looked at: whoever sends more waits.
const EVENTS_MAX: usize = 256;

/// Ages and silence are told in seconds: so often is drawn, whether anything came or not.
const DRAWN_EVERY: Duration = Duration::from_secs(1);

/// What `--once` prints where no terminal says how large it is.
const PRINTED: (u16, u16) = (80, 40);

/// The shortest and the longest `--interval`.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// `pgprism top`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: 1 to 4 or Tab choose the view, Enter opens, / filters, < > sort, ? lists all keys.\n\n\
    Examples:\n  pgprism top\n  \
    pgprism top --view shapes --interval 5s\n  \
    pgprism top --admin http://10.0.0.7:9433 --token-file token\n  \
    pgprism top --once --view units"
)]
pub(super) struct TopArgs {
    #[command(flatten)]
    place: Place,
    /// How often the proxy is asked
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// The view at the start
    #[arg(long, value_enum, value_name = "VIEW", default_value = "findings")]
    view: ViewArg,
    /// Print one screen as text and end; its rates are those of one interval
    #[arg(long, visible_alias = "batch")]
    once: bool,
    /// Something that goes wrong on purpose, for tests
    #[arg(long, value_enum, value_name = "FAULT", hide = true)]
    fault: Option<Fault>,
}

/// What `--view` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ViewArg {
    Findings,
    Shapes,
    Units,
    Connections,
}

impl ViewArg {
    fn view(self) -> View {
        match self {
            ViewArg::Findings => View::Findings,
            ViewArg::Shapes => View::Shapes,
            ViewArg::Units => View::Units,
            ViewArg::Connections => View::Connections,
        }
    }
}

/// Where a panic is put in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fault {
    /// When `!` is pressed.
    KeyPanic,
    /// In the thread that asks, after its first round.
    PollerPanic,
}

fn interval(written: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(written).map_err(|error| error.to_string())?;
    match (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        true => Ok(interval),
        false => Err("from 100ms to 1h".to_owned()),
    }
}

/// What may happen.
#[derive(Debug)]
enum Event {
    Key(Key),
    Resized,
    Answer(Box<Answer>, Moment),
    /// The process was stopped and goes on.
    Continued,
    /// A signal that ends the process.
    Ending(i32),
    /// A thread has ended that should not.
    Ended(Part),
}

/// The threads beside the one that draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Poller,
    Keys,
    Signals,
}

/// Runs until it is told to end; the status to exit with.
pub(super) fn top(arguments: &TopArgs) -> Result<u8, Failure> {
    if !arguments.once && !terminal::is_there() {
        return Err(Failure::Usage(
            "top: stdout is no terminal; `pgprism report` writes what a proxy has seen, `pgprism top --once` one screen"
                .to_owned(),
        ));
    }
    let proxy = arguments.place.proxy()?;
    let clock = Clock::start();
    let variable = |name: &str| std::env::var(name).ok();
    let look = Look::of(variable);
    let view = arguments.view.view();
    let mut state = State::new(proxy.url(), arguments.interval, look, view);
    // Before the terminal is taken: who mistyped the address or has no token reads that in the shell.
    let answers = poller::ask_once(&proxy, &state.wanted(), clock)?;
    for (answer, at) in answers {
        state.take(answer, at);
    }
    if arguments.once {
        return once(&proxy, state, clock);
    }
    catch_unwind(AssertUnwindSafe(|| {
        watch(proxy, state, clock, arguments.fault)
    }))
    .unwrap_or_else(|_| {
        Err(Failure::Internal(
            "top: it panicked; this is a bug of pgprism".to_owned(),
        ))
    })
}

/// One screen as text, an interval after the first answers.
fn once(proxy: &Proxy, mut state: State, clock: Clock) -> Result<u8, Failure> {
    std::thread::sleep(state.interval);
    for (answer, at) in poller::ask_once(proxy, &state.wanted(), clock)? {
        state.take(answer, at);
    }
    let now = clock.now();
    state.tick(now, clock.wall(now));
    state.look = Look {
        colours: Colours::None,
        ..state.look
    };
    let size = terminal_size::terminal_size().filter(|_| terminal::is_there());
    state.size = size.map_or(PRINTED, |(columns, lines)| (columns.0, lines.0));
    let mut out = io::stdout().lock();
    for line in printed(&state) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(0)
}

/// The lines of a screen, without the selection and the keys, which nobody can press.
fn printed(state: &State) -> Vec<String> {
    let (columns, lines) = state.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, lines));
    draw::draw(state, &mut buffer);
    let mut lines = draw::lines(&buffer);
    lines.truncate(lines.len().saturating_sub(2));
    for line in &mut lines {
        if line.starts_with("> ") {
            line.replace_range(..1, " ");
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The threads, and what each tells.
fn watch(proxy: Proxy, state: State, clock: Clock, fault: Option<Fault>) -> Result<u8, Failure> {
    let (sender, events) = sync_channel(EVENTS_MAX);
    let desk = Desk::new(state.wanted());
    let signals = terminal::signals()?;
    let screen = Screen::take().map_err(|error| {
        Failure::Usage(format!(
            "top: cannot take the terminal: {error}; `pgprism top --once` prints one screen"
        ))
    })?;
    start(Part::Signals, &sender, move |events| {
        terminal::listen_for_signals(signals, events);
    })?;
    start(Part::Keys, &sender, terminal::listen_for_keys)?;
    let interval = state.interval;
    let poller = Arc::clone(&desk);
    start(Part::Poller, &sender, move |events| {
        if fault == Some(Fault::PollerPanic) {
            panic!("put in on purpose");
        }
        poller::run(&proxy, &poller, interval, clock, events);
    })?;
    drop(sender);
    let mut watcher = Watcher {
        state,
        screen,
        desk,
        clock,
        fault,
    };
    watcher.run(&events)
}

/// Starts a thread that tells of its own end.
fn start(
    part: Part,
    events: &SyncSender<Event>,
    act: impl FnOnce(&SyncSender<Event>) + Send + 'static,
) -> io::Result<()> {
    struct Bell(SyncSender<Event>, Part);
    impl Drop for Bell {
        fn drop(&mut self) {
            let _ = self.0.try_send(Event::Ended(self.1));
        }
    }
    let bell = Bell(events.clone(), part);
    let name = match part {
        Part::Poller => "pgprism-poller",
        Part::Keys => "pgprism-keys",
        Part::Signals => "pgprism-signals",
    };
    Builder::new()
        .name(name.to_owned())
        .spawn(move || act(&bell.0))
        .map(drop)
}

/// What was made of an event.
enum Next {
    GoOn,
    End(u8),
}

/// The thread that draws.
struct Watcher {
    state: State,
    screen: Screen,
    desk: Arc<Desk>,
    clock: Clock,
    fault: Option<Fault>,
}

impl Watcher {
    fn run(&mut self, events: &Receiver<Event>) -> Result<u8, Failure> {
        loop {
            self.draw()?;
            let first = match events.recv_timeout(DRAWN_EVERY) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            };
            // Keys that are held down, and answers that came together, are drawn once.
            for event in first.into_iter().chain(events.try_iter()).take(EVENTS_MAX) {
                self.tick();
                if let Next::End(status) = self.happened(event)? {
                    return Ok(status);
                }
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.tick();
        let size = self.screen.size()?;
        if self.state.size != size {
            self.state.size = size;
            self.state.settle();
        }
        self.screen.draw(&self.state)
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        self.state.tick(now, self.clock.wall(now));
    }

    fn happened(&mut self, event: Event) -> Result<Next, Failure> {
        match event {
            Event::Key(Key::Char('!')) if self.fault == Some(Fault::KeyPanic) => {
                panic!("put in on purpose")
            }
            Event::Key(key) => {
                let effect = self.state.press(key);
                self.desk.want(self.state.wanted());
                return self.done(effect);
            }
            Event::Resized => {}
            Event::Answer(answer, at) => self.state.take(*answer, at),
            Event::Continued => self.screen.again()?,
            Event::Ending(signal) => return Ok(Next::End(128 + signal as u8)),
            Event::Ended(Part::Keys) => {
                return Err(Failure::Internal(
                    "top: the terminal sends no keys any more".to_owned(),
                ));
            }
            Event::Ended(part) => {
                return Err(Failure::Internal(format!(
                    "top: {part:?} ended; this is a bug of pgprism"
                )));
            }
        }
        Ok(Next::GoOn)
    }

    fn done(&mut self, effect: Effect) -> Result<Next, Failure> {
        match effect {
            Effect::Nothing => {}
            Effect::Quit => return Ok(Next::End(0)),
            Effect::Suspend => self.screen.suspend()?,
            Effect::Redraw => self.screen.forget()?,
            Effect::Mute { id, muting } => {
                if !self.desk.mute(id.clone(), muting) {
                    self.state.mark_muted(&id, muting.other());
                    let words = "too many findings wait to be muted: the proxy is slow";
                    self.state.tell(Paint::Bad, words.to_owned());
                }
            }
        }
        Ok(Next::GoOn)
    }
}
