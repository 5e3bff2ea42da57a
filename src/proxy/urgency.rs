//! How urgent a relaying thread is: as much as whoever runs now, but not more.
//!
//! Linux lets a thread that was asleep interrupt the one that runs, if it has had less than its share. A relaying thread
//! sleeps often, so that it interrupted a server or a client in the middle of its work, once for each socket that became
//! ready, while its other sockets were about to become ready as well. Under SCHED_BATCH (sched(7)) it has the same share
//! and runs as soon as whoever woke it waits, which is right after; what has become ready meanwhile it finds in one look.
//! On a core that is free it runs at once, as before.

/// Has the calling thread, which keeps its nice level, interrupt nobody. A system that does not know of this, or does
/// not let us, is no worse than before.
#[cfg(target_os = "linux")]
pub(super) fn interrupt_nobody() {
    use rustix::process::{getpriority_process, setpriority_process};
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityOsValue, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };

    let nice = getpriority_process(None);
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    // It sets a nice level as well.
    let level = ThreadPriority::Os(ThreadPriorityOsValue::default());
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), level, policy) {
        tracing::debug!(%error, "a relaying thread stays as urgent as it is");
    }
    if let Ok(nice @ 1..) = nice {
        let _ = setpriority_process(None, nice);
    }
}

/// Nothing: there is no such policy here.
#[cfg(not(target_os = "linux"))]
pub(super) fn interrupt_nobody() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{getpriority_process, nice};
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy};

    use super::*;

    #[test]
    fn a_thread_interrupts_nobody_and_is_as_nice_as_before() {
        let of_the_thread = std::thread::spawn(|| {
            nice(3).unwrap();
            interrupt_nobody();
            let policy = thread_priority::thread_schedule_policy().unwrap();
            (policy, getpriority_process(None).unwrap())
        });
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        assert_eq!(of_the_thread.join().unwrap(), (batch, 3));
    }
}
