//! Wakes a thread that sleeps as long as there is nothing for it, by whoever has something.
//!
//! *Architecture invariant:* who rings never waits, and makes a system call only where somebody sleeps; one sleep is
//! ended once.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// A bell that nobody hears until somebody listens; then the next ring wakes them, and no other.
#[derive(Default)]
pub struct Bell {
    is_heard: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Bell {
    /// Says how the listener is woken. The first one to say so is the one who listens.
    pub fn connect(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// The next ring wakes. What was there before did not ring for this sleep: look once more before you sleep.
    pub fn listen(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
        // Either who rings sees this, or who sleeps sees what was put there before the ring.
        fence(Ordering::SeqCst);
    }

    /// Nobody has to be woken any more.
    pub fn ignore(&self) {
        self.is_heard.store(false, Ordering::Relaxed);
    }

    /// There is something: to be called behind it.
    #[cold]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.is_heard.load(Ordering::Relaxed)
            && self.is_heard.swap(false, Ordering::Relaxed)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_wakes_once_for_each_sleep() {
        let bell = Bell::default();
        bell.ring();
        let (woken, wakes) = mpsc::channel();
        bell.connect(move || woken.send(()).unwrap());
        bell.ring();
        assert!(wakes.try_recv().is_err(), "nobody listened");
        bell.listen();
        bell.ring();
        bell.ring();
        assert_eq!(wakes.try_iter().count(), 1);
        bell.listen();
        bell.ignore();
        bell.ring();
        assert!(wakes.try_recv().is_err());
    }

    #[test]
    fn nothing_is_slept_through() {
        const THINGS: u64 = 20_000;
        let bell = Arc::new(Bell::default());
        let there = Arc::new(AtomicU64::new(0));
        let (woken, wakes) = mpsc::channel();
        bell.connect(move || woken.send(()).unwrap());
        let putting = {
            let (bell, there) = (Arc::clone(&bell), Arc::clone(&there));
            std::thread::spawn(move || {
                for number in 1..=THINGS {
                    there.store(number, Ordering::Relaxed);
                    bell.ring();
                }
            })
        };
        let mut seen = 0;
        while seen < THINGS {
            bell.listen();
            if there.load(Ordering::Relaxed) == seen {
                wakes
                    .recv_timeout(Duration::from_secs(10))
                    .expect("a ring for what was put there");
            }
            seen = there.load(Ordering::Relaxed);
        }
        putting.join().unwrap();
    }
}
