//! The thread that asks, without a proxy.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::super::Event;
use super::super::poller::{self, Answer, Desk};
use super::super::state::View;
use super::{fresh, press};
use crate::cli::client::{Muting, Proxy};
use crate::clock::Clock;

#[test]
fn it_asks_at_once_for_what_is_wanted_and_ends_with_whoever_listens() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let proxy = Proxy::new(&free, None).unwrap();
    let mut state = fresh(View::Findings);
    let desk = Desk::new(state.wanted());
    let (sender, events) = sync_channel(4);
    let asked = std::sync::Arc::clone(&desk);
    let hour = Duration::from_secs(3600);
    let thread =
        std::thread::spawn(move || poller::run(&proxy, &asked, hour, Clock::start(), &sender));
    let answer = || match events.recv_timeout(Duration::from_secs(20)).unwrap() {
        Event::Answer(answer, _) => *answer,
        other => panic!("{other:?}"),
    };
    assert!(matches!(answer(), Answer::Failed(_)));
    // The same wish is no new one; another view is, and so is a finding to mute, an hour before the next round.
    desk.want(state.wanted());
    assert!(desk.mute("0123456789abcdef".to_owned(), Muting::Mute));
    let Answer::Muted { id, result, .. } = answer() else {
        panic!("nothing else was wanted")
    };
    assert!(id == "0123456789abcdef" && result.is_err());
    press(&mut state, "2");
    desk.want(state.wanted());
    assert!(matches!(answer(), Answer::Failed(_)));
    drop(events);
    press(&mut state, "3");
    desk.want(state.wanted());
    thread.join().unwrap();
}

#[test]
fn no_more_findings_wait_to_be_muted_than_there_is_room_for() {
    let desk = Desk::new(fresh(View::Findings).wanted());
    let taken = (0..1_000)
        .filter(|id| desk.mute(id.to_string(), Muting::Mute))
        .count();
    assert_eq!(taken, 64);
}
