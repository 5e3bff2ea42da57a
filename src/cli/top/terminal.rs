//! The terminal: taken over and given back, drawn to, and listened to for keys and signals.
//!
//! *Architecture invariant:* this is the one file that touches it, and the one that knows crossterm. Whatever ends
//! `pgprism top`, a key, a signal or a panic, the terminal is as it was.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, terminal};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use signal_hook::consts::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Event;
use super::draw;
use super::keys::Key;
use super::state::State;

/// Bytes of a screen that are sent at once: a whole one of 200 columns and 50 lines in colours is less.
const BUFFER_BYTES: usize = 64 << 10;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether stdout is a terminal.
pub(super) fn is_there() -> bool {
    io::stdout().is_terminal()
}

/// The terminal while it is ours; dropped, it is given back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn take() -> io::Result<Screen> {
        give_back_after_a_panic();
        take_over()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()));
        match Terminal::new(backend) {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Sends what differs from what was drawn last.
    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        // Another thread has given it back, with a panic: nothing may be written over what it says.
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.terminal.draw(|frame| {
            let area = frame.area();
            // The terminal may have changed its size since the state was told.
            if (area.width, area.height) == state.size {
                draw::draw(state, frame.buffer_mut());
            }
        })?;
        Ok(())
    }

    /// Draws everything at the next turn: somebody else wrote to the terminal.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        let (columns, lines) = self.size()?;
        // Unlike `clear`, this does not ask the terminal where its cursor is: the answer would come as keys.
        self.terminal.resize(Rect::new(0, 0, columns, lines))
    }

    /// Stops this process and those of its job, as the shell expects of Ctrl-Z; comes back when they go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill(Pid::from_raw(0), Signal::SIGTSTP)?;
        self.again()
    }

    /// Takes the terminal over once more, after the shell had it.
    pub(super) fn again(&mut self) -> io::Result<()> {
        give_back();
        take_over()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
}

/// Once for each time it was taken; a terminal that is gone needs nothing.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
        let _ = io::stdout().flush();
    }
}

/// What a panic says can be read only where the terminal is the shell's.
fn give_back_after_a_panic() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// Tells of keys, from a thread of its own; returns when there will be none any more.
pub(super) fn listen_for_keys(events: &SyncSender<Event>) {
    loop {
        let told = match event::read() {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => {
                events.send(Event::Key(named(key)))
            }
            Ok(event::Event::Resize(..)) => events.send(Event::Resized),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => return,
        };
        if told.is_err() {
            return;
        }
    }
}

fn named(key: KeyEvent) -> Key {
    match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Key::Ctrl(c.to_ascii_lowercase())
        }
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => Key::Other,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => Key::Other,
    }
}

/// The signals from now on; each that would have ended the process is told instead.
pub(super) fn signals() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGCONT])
}

/// Tells of signals, from a thread of its own. The second one that ends does so at once: the first may wait for a
/// terminal that takes nothing.
pub(super) fn listen_for_signals(mut signals: Signals, events: &SyncSender<Event>) {
    let mut first = None;
    for signal in signals.forever() {
        match (signal, first) {
            (SIGCONT, _) => {
                let _ = events.try_send(Event::Continued);
            }
            (signal, None) => {
                first = Some(signal);
                let _ = events.try_send(Event::Ending(signal));
            }
            (signal, Some(_)) => {
                give_back();
                std::process::exit(128 + signal);
            }
        }
    }
}
