//! Addresses, and servers that do not answer. The real one is asked by the end-to-end tests.

use std::net::TcpListener;
use std::time::Duration;

use super::ask::spellings;
use super::*;
use crate::advise::{Models, Place};
use crate::aggregate;
use crate::clock::Clock;
use crate::detect::{Confidence, Detail, Finding, FindingId, Kind, Severity, Side, Status};
use crate::event::Moment;
use crate::sql::Fingerprint;
use crate::unit::Evidence;

const URL: &str = "postgres://reader:s%C3%A9same@db.internal:5433/shop?connect_timeout=9";

#[test]
fn an_address_is_shown_without_its_password() {
    let address = Address::parse(URL).unwrap();
    assert_eq!(
        address.to_string(),
        "postgres://reader@db.internal:5433/shop"
    );
    assert_eq!(format!("{address:?}"), address.to_string());
    let shown = format!("{:?}", Settings::of(address));
    assert!(!shown.contains("same"), "{shown}");
    let socket = Address::parse("postgres:///shop?host=/run/postgresql&user=reader").unwrap();
    assert_eq!(
        socket.to_string(),
        "postgres://reader@/run/postgresql:5432/shop"
    );
}

#[test]
fn addresses_that_cannot_be_used_say_why_and_nothing_more() {
    for (text, expected) in [
        ("sesame", AddressError::Unreadable),
        ("http://u:sesame@db/shop", AddressError::Unreadable),
        ("postgres://u:sesame@db:port/shop", AddressError::Unreadable),
        (
            "postgres:///shop?user=u&password=sesame",
            AddressError::NoHost,
        ),
        ("postgres://db/shop?password=sesame", AddressError::NoUser),
        ("postgres://u:sesame@db", AddressError::NoDatabase),
        (
            "postgres://u:sesame@db/shop?sslmode=require",
            AddressError::Tls,
        ),
    ] {
        let error = Address::parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!format!("{error} {error:?}").contains("sesame"));
    }
}

#[test]
fn a_name_with_dots_is_tried_whole_and_with_its_schema() {
    assert_eq!(spellings("shop_order"), ["\"shop_order\""]);
    assert_eq!(
        spellings("stock.ware\"house"),
        ["\"stock.ware\"\"house\"", "\"stock\".\"ware\"\"house\""]
    );
}

/// A guide that was asked about a loop over `shop_order`.
fn asked_guide() -> Arc<Guide> {
    let side = |table: &str, column: &str| Side {
        fingerprint: Fingerprint(1),
        query: "".into(),
        table: Some(table.into()),
        column: Some(column.into()),
    };
    let finding = Finding {
        id: FindingId(1),
        kind: Kind::NPlusOneForward,
        status: Status::Open,
        confidence: Confidence::Proved,
        evidence: Evidence::Connection,
        severity: Severity::Low,
        child: side("shop_customer", "id"),
        parent: Some(side("shop_order", "customer_id")),
        chain: Vec::new(),
        occurrences: 1,
        units: 1,
        queries: 3,
        cost_ns: 0,
        saves_ns: 0,
        children_per_row: 1.0,
        first_seen: Moment(0),
        last_seen: Moment(0),
        tags: Vec::new(),
        proof: None,
        queries_before: 4,
        queries_after: 1,
        example_unit: None,
        detail: Detail::default(),
    };
    let guide = Arc::new(Guide::default());
    let advice = guide.advise(&finding, None, None, false);
    assert!(advice.complete, "{}", advice.django);
    assert_eq!(guide.tables(), ["shop_customer", "shop_order"]);
    guide
}

fn failures(store: &Store) -> Vec<(&'static str, u64)> {
    let counts = store.health().catalog_failures();
    counts.iter().map(|it| (it.reason, it.count)).collect()
}

fn start(port: u16, guide: &Arc<Guide>) -> (Catalog, Arc<Store>) {
    let store = Store::new(&aggregate::Settings::default());
    let url = format!("postgres://reader:sesame@127.0.0.1:{port}/shop");
    let settings = Settings {
        look_every: Duration::from_millis(1),
        refresh_after: Duration::from_millis(20),
        retry_after: Duration::from_millis(1),
        ..Settings::of(Address::parse(&url).unwrap())
    };
    let catalog = Catalog::start(settings, Arc::clone(guide), Arc::clone(&store)).unwrap();
    (catalog, store)
}

#[track_caller]
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !is() {
        assert!(
            clock.now().since(Moment(0)) < 20_000_000_000,
            "{what}: not within 20 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_database_that_refuses_is_counted_and_tried_again() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let guide = asked_guide();
    let (catalog, store) = start(port, &guide);
    wait_until(
        "three failures",
        || matches!(*failures(&store), [("connect", count)] if count >= 3),
    );
    drop(catalog);
    assert!(
        guide.relations().is_empty(),
        "what is not known stays unknown"
    );
}

#[test]
fn a_database_that_never_answers_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let guide = asked_guide();
    let (catalog, store) = start(silent.local_addr().unwrap().port(), &guide);
    wait_until("a timeout", || {
        matches!(*failures(&store), [("connect_timeout", _)])
    });
    // It is ended while it waits for the next answer.
    drop(catalog);
}

#[test]
fn nothing_is_connected_to_while_nobody_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let guide = Arc::new(Guide::default());
    let (catalog, store) = start(listener.local_addr().unwrap().port(), &guide);
    drop(catalog);
    assert!(listener.accept().is_err() && failures(&store).is_empty());
}

#[test]
fn the_guide_says_when_advice_may_be_worded_anew() {
    let guide = Guide::default();
    let before = guide.revision();
    guide.set_relations(Relations::default());
    assert_eq!(guide.revision(), before, "nothing new");
    let mut relations = Relations::default();
    relations.learn(
        "shop_order",
        crate::advise::TableKeys {
            foreign_keys: [("customer_id".to_owned(), Place::new("shop_customer", "id"))].into(),
            ..Default::default()
        },
    );
    guide.set_relations(relations);
    guide.set_models(Arc::new(Models::default()));
    assert_eq!(guide.revision(), before + 2);
}
