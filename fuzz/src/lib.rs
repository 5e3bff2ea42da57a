//! What the targets do, and what they share.

pub mod bodies;

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Mutex;

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// For targets whose code catches panics of others on purpose: libFuzzer's hook would abort before it can.
///
/// Use it as the target's `init`, and put the whole body into [`must_not_panic`].
pub fn let_panics_be_caught() {
    set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = panic.to_string();
        }
    }));
}

/// Runs the body of a target; a panic that nobody caught ends the process, as a crash that libFuzzer keeps.
pub fn must_not_panic(body: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        eprintln!(
            "{}",
            LAST_PANIC
                .lock()
                .map(|last| last.clone())
                .unwrap_or_default()
        );
        std::process::abort();
    }
}
