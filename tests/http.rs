//! The admin address as a client sees it: compared with `docs/openapi.json`, and held to its bounds.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's deadlines are real time"
)]

mod snapshots;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgprism::aggregate::{Settings as StoreSettings, Store, Whose};
use pgprism::analysis::{Analysis, Settings as AnalysisSettings, Snapshot};
use pgprism::clock::Clock;
use pgprism::event::{
    Direction, Exchange, Observed, Phases, Protocol, QueryEvent, SessionFacts, SessionId, Statement,
};
use pgprism::export::http::{Bounds, Server, Settings};
use pgprism::registry::{Connection, Registered, Registry};
use pgprism::sql::{Fingerprint, Verb};
use pgprism::unit::UnitRecord;
use pgprism::wire::{SqlState, TransactionStatus};
use serde_json::{Value, json};

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(20);

/// A server with some figures behind it, on a thread of its own.
struct Admin {
    address: SocketAddr,
    store: Arc<Store>,
    analysis: Analysis,
    clock: Clock,
    _connection: Registered,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What differs between the servers of these tests.
#[derive(Default)]
struct Wanted {
    hosts: Vec<String>,
    token: Option<String>,
    bounds: Bounds,
    unreachable: Option<&'static str>,
}

impl Admin {
    fn start(wanted: Wanted) -> Admin {
        let clock = Clock::start();
        let store = Store::new(&StoreSettings::default());
        let analysis = Analysis::new(
            Arc::clone(&store),
            Arc::default(),
            AnalysisSettings::default(),
        )
        .unwrap();
        let registry = Arc::new(Registry::new());
        let listener = registry.add_listener("default".into(), "127.0.0.1:6433".into(), 1);
        listener.set_upstream_address("127.0.0.1:5432".into());
        listener.set_upstream_result(Ok(()), clock.now());
        let connection = registry.add_connection(Connection {
            id: SessionId(1),
            listener: "default".into(),
            client: "127.0.0.1:40123".into(),
            upstream: "127.0.0.1:5432".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: "web".into(),
            accepted_at: clock.now(),
            status: Arc::default(),
            tls: false,
        });
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let unreachable = wanted.unreachable;
        let server = Server::new(Settings {
            store: Arc::clone(&store),
            registry,
            feed: analysis.feed(),
            clock,
            hosts: wanted.hosts,
            token: wanted.token,
            probe: Arc::new(move || {
                Box::pin(async move { unreachable.map_or(Ok(()), |reason| Err(reason.to_owned())) })
            }),
            seen: Arc::new(|| Box::pin(async {})),
            settle: Arc::new(|_| Box::pin(async { true })),
            bounds: wanted.bounds,
        })
        .unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let socket = tokio::net::TcpListener::from_std(socket).unwrap();
                server
                    .serve(socket, async {
                        let _ = stopped.await;
                    })
                    .await;
            });
        });
        Admin {
            address,
            store,
            analysis,
            clock,
            _connection: connection,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Runs a query of each of `shapes` shapes.
    fn run(&mut self, shapes: u64) {
        let worker = self.store.worker(());
        let facts = Arc::new(SessionFacts {
            id: SessionId(1),
            listener: "default".into(),
            client: "127.0.0.1".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: "we\"b\n<b>".into(),
            backend_pid: 4711,
        });
        for fingerprint in 1..=shapes {
            let fingerprint = Fingerprint(fingerprint);
            let shape = worker
                .begin()
                .counter()
                .shape(fingerprint, Verb::Select, || {
                    format!(
                        "SELECT \"name\" FROM shop_order_{} WHERE id = $1",
                        fingerprint.0
                    )
                });
            let completed_at = self.clock.now();
            let exchange = Exchange {
                session: facts.id,
                sequence: fingerprint.0,
                statement: Statement {
                    fingerprint,
                    verb: Verb::Select,
                    shape,
                    truncated: false,
                },
                protocol: Protocol::Extended,
                requested_at: completed_at,
                completed_at,
                phases: Phases {
                    database_ns: fingerprint.0 * 1_000_000,
                    transfer_ns: 500_000,
                    client_ns: 0,
                    application_ns: 250_000,
                },
                round_trips: 1,
                rows: 3,
                request_bytes: 40,
                response_bytes: 60,
                sqlstate: (fingerprint.0 == 2).then_some(SqlState(*b"42P01")),
                transaction_before: TransactionStatus::Idle,
                transaction_after: TransactionStatus::Idle,
                pipeline_index: 0,
                tags: None,
                literal_text: None,
                statement_name: None,
                cursor: None,
                flow: None,
            };
            worker.begin().counter().record(
                &mut Whose::default(),
                &exchange.event(&facts),
                exchange.beside(),
            );
            self.analysis.observe(Observed::Query(QueryEvent {
                facts: Arc::clone(&facts),
                sequence: exchange.sequence,
                fingerprint,
                verb: Verb::Select,
                shape,
                protocol: exchange.protocol,
                requested_at: exchange.requested_at,
                completed_at,
                phases: exchange.phases,
                round_trips: exchange.round_trips,
                rows: exchange.rows,
                sqlstate: exchange.sqlstate,
                transaction_before: exchange.transaction_before,
                transaction_after: exchange.transaction_after,
                pipeline_index: exchange.pipeline_index,
                tags: exchange.tags.clone(),
                cursor: exchange.cursor,
                flow: exchange.flow.clone(),
            }));
        }
        self.store.collect(self.clock.now());
        self.analysis.tick(self.clock.now());
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends one request with these header lines and reads the whole answer.
    fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        Answer::read(stream)
    }

    fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "Host: localhost\r\n")
    }

    fn post(&self, target: &str) -> Answer {
        self.ask("POST", target, "Host: localhost\r\nX-Pgprism: 1\r\n")
    }

    /// Sends what the page would send.
    fn send(&self, target: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nX-Pgprism: 1\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n"
        );
        let mut stream = self.connect();
        stream.write_all((head + body).as_bytes()).unwrap();
        Answer::read(stream)
    }

    /// The ids of a list's items.
    #[track_caller]
    fn ids(&self, target: &str) -> Vec<String> {
        let list = self.get(target).json();
        let items = list["items"].as_array().unwrap_or_else(|| panic!("{list}"));
        let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    }

    /// Makes `snapshot` what the analysis knows.
    fn publish(&self, snapshot: Snapshot) {
        self.analysis.feed().publish_snapshot(snapshot);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server ends without a panic");
            }
        }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(mut stream: TcpStream) -> Answer {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// What the header says, in lower case.
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find_map(|(known, value)| (known == name).then_some(value))
            .unwrap_or_else(|| panic!("no {name}: {}", self.head))
    }

    /// Checks status and the form of an error.
    #[track_caller]
    fn is_error(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.json()["error"]["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
        check_schema(&openapi(), "#/components/schemas/Error", &self.json());
    }
}

fn openapi() -> Value {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn check_schema(document: &Value, reference: &str, value: &Value) {
    let mut problems = Vec::new();
    let schema = document
        .pointer(&reference[1..])
        .unwrap_or_else(|| panic!("no {reference}"));
    compare(document, schema, value, reference, &mut problems);
    assert!(problems.is_empty(), "{problems:#?}\n{value:#}");
}

/// The part of JSON Schema that the document uses. Objects must have every field it names, and no other.
fn compare(
    document: &Value,
    schema: &Value,
    value: &Value,
    place: &str,
    problems: &mut Vec<String>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document
            .pointer(&reference[1..])
            .unwrap_or_else(|| panic!("no {reference}"));
        return compare(document, schema, value, place, problems);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        other => panic!("type {other} at {place}"),
    };
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other} at {place}"),
    };
    if !types.iter().any(|name| is(name)) {
        problems.push(format!("{place}: {value} is none of {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        problems.push(format!("{place}: {value} is none of {allowed:?}"));
    }
    if schema["minimum"]
        .as_f64()
        .is_some_and(|least| value.as_f64().is_some_and(|number| number < least))
    {
        problems.push(format!("{place}: {value} is too small"));
    }
    if schema["format"] == "date-time"
        && value
            .as_str()
            .is_none_or(|time| humantime::parse_rfc3339(time).is_err())
    {
        problems.push(format!("{place}: {value} is no time"));
    }
    if let (Some(fields), Some(value)) = (schema["properties"].as_object(), value.as_object()) {
        for name in fields.keys().filter(|name| !value.contains_key(*name)) {
            problems.push(format!("{place}: {name} is missing"));
        }
        for (name, value) in value {
            match fields.get(name) {
                Some(schema) => compare(
                    document,
                    schema,
                    value,
                    &format!("{place}.{name}"),
                    problems,
                ),
                None => problems.push(format!("{place}: {name} is not documented")),
            }
        }
    }
    if let (Some(items), Some(value)) = (schema.get("items"), value.as_array()) {
        for (index, value) in value.iter().enumerate() {
            compare(
                document,
                items,
                value,
                &format!("{place}[{index}]"),
                problems,
            );
        }
        for (limit, broken) in [
            ("minItems", std::cmp::Ordering::Less),
            ("maxItems", std::cmp::Ordering::Greater),
        ] {
            if schema[limit]
                .as_u64()
                .is_some_and(|limit| (value.len() as u64).cmp(&limit) == broken)
            {
                problems.push(format!("{place}: {} items", value.len()));
            }
        }
    }
}

#[test]
fn every_documented_path_answers_as_documented() {
    let mut admin = Admin::start(Wanted::default());
    admin.run(3);
    admin.publish(snapshots::snapshot());
    let document = openapi();
    let mut compared = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let id = match path.starts_with("/api/v1/units") {
            true => "7".to_owned(),
            false => snapshots::FORWARD.to_string(),
        };
        let target = path
            .replace("{fingerprint}", &snapshots::CHILD.to_string())
            .replace("{id}", &id);
        if let Some(post) = methods.get("post") {
            let body = match post.get("requestBody") {
                Some(_) => "{\"token\": \"none is needed here\"}",
                None => "",
            };
            let answer = admin.send(&target, "", body);
            assert!(
                methods["post"]["responses"]
                    .get(answer.status.to_string())
                    .is_some(),
                "{path}: {}",
                answer.status
            );
            match post["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].as_str()
            {
                Some(reference) => {
                    assert_eq!(answer.status, 200, "{path}");
                    check_schema(&document, reference, &answer.json());
                }
                None => assert_eq!(answer.status, 204, "{path}"),
            }
            admin.run(3);
            admin.publish(snapshots::snapshot());
            continue;
        }
        let content = &methods["get"]["responses"]["200"]["content"];
        if content.get("text/event-stream").is_some() {
            continue; // It does not end; it has a test of its own.
        }
        let answer = admin.get(&target);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        if let Some(reference) = content["application/json"]["schema"]["$ref"].as_str() {
            assert!(
                answer.head.contains("content-type: application/json"),
                "{path}: {}",
                answer.head
            );
            check_schema(&document, reference, &answer.json());
            compared += 1;
        } else {
            assert!(
                answer
                    .head
                    .contains("content-type: text/plain; version=0.0.4"),
                "{path}: {}",
                answer.head
            );
        }
    }
    assert_eq!(compared, 11, "answers in JSON");
    for items in [
        "/api/v1/queries",
        "/api/v1/findings",
        "/api/v1/units",
        "/api/v1/connections",
        "/api/v1/history",
    ] {
        assert!(
            !admin.get(items).json()["items"]
                .as_array()
                .unwrap()
                .is_empty(),
            "{items}: nothing was compared"
        );
    }
}

#[test]
fn figures_are_those_of_the_queries() {
    let mut admin = Admin::start(Wanted::default());
    admin.run(3);
    let list = admin.get("/api/v1/queries").json();
    let first = &list["items"][0];
    assert_eq!(first["fingerprint"], "0000000000000003");
    assert_eq!(
        first["query"],
        "SELECT \"name\" FROM shop_order_3 WHERE id = $1"
    );
    assert_eq!(
        (first["total_ms"].as_f64(), first["mean_ms"].as_f64()),
        (Some(3.5), Some(3.5))
    );
    assert_eq!(
        (first["bytes"].as_u64(), first["rows"].as_u64()),
        (Some(100), Some(3))
    );
    assert_eq!(first["applications"][0], "we\"b\n<b>");
    assert_eq!(first["phases"]["application_ms"], 0.25);
    let detail = admin.get("/api/v1/queries/0000000000000002").json();
    assert_eq!(detail["error_codes"][0]["code"], "42P01");
    let counted: u64 = detail["histogram"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 1);
    let summary = admin.get("/api/v1/summary").json();
    assert_eq!(
        (summary["queries"].as_u64(), summary["errors"].as_u64()),
        (Some(3), Some(1))
    );
    assert_eq!(summary["listeners"][0]["upstream"], "127.0.0.1:5432");
    assert_eq!(summary["degraded"], Value::Array(Vec::new()));

    let page = admin.get("/metrics").body;
    let counted: f64 = sum_of(&page, "pgprism_query_duration_seconds_count");
    assert_eq!(counted, sum_of(&page, "pgprism_queries_total"));
    assert_eq!(counted, 3.0);
}

/// Sum of all samples of one name.
fn sum_of(page: &str, name: &str) -> f64 {
    page.lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn lists_are_paged_sorted_and_searched() {
    let mut admin = Admin::start(Wanted::default());
    admin.run(5);
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let list = admin
            .get(&format!(
                "/api/v1/queries?limit=2&sort=max_ms&after={after}"
            ))
            .json();
        seen.extend(
            list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["max_ms"].as_f64().unwrap()),
        );
        match list["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, [5.5, 4.5, 3.5, 2.5, 1.5]);
    for (filter, total) in [
        ("SHOP_order_4", 1),
        ("select%20shop_order", 5),
        ("op:select%20db:shop%20user:shop", 5),
        ("d%3E3ms", 3),
        ("d%3E3ms%20d%3C5ms", 2),
        ("n%3E1", 0),
        ("error", 1),
        ("db:other", 0),
    ] {
        let list = admin
            .get(&format!("/api/v1/queries?limit=1&q={filter}"))
            .json();
        assert_eq!(list["total"], total, "{filter}: {list}");
        assert_eq!(list["next"].is_null(), total < 2, "{filter}: {list}");
    }
    admin
        .get("/api/v1/queries?q=kind:duplicate")
        .is_error(400, "bad_parameter");
    for bad in ["limit=0", "limit=x", "limit=1001", "after=-1", "sort=name"] {
        admin
            .get(&format!("/api/v1/queries?{bad}"))
            .is_error(400, "bad_parameter");
    }
}

#[test]
fn findings_tell_what_why_and_what_to_do() {
    let admin = Admin::start(Wanted::default());
    admin.publish(snapshots::snapshot());
    let finding = admin
        .get(&format!("/api/v1/findings/{}", snapshots::FORWARD))
        .json();
    for (field, expected) in [
        ("/kind", json!("n_plus_one_forward")),
        ("/status", json!("open")),
        ("/confidence", json!("proved")),
        ("/evidence", json!("connection")),
        ("/severity", json!("high")),
        ("/fingerprint", json!("0000000000000002")),
        (
            "/query",
            json!("SELECT name FROM shop_customer\nWHERE id = $1"),
        ),
        ("/parent_fingerprint", json!("0000000000000001")),
        ("/parent_table", json!("shop_order")),
        ("/parent_column", json!("customer_id")),
        ("/child_table", json!("shop_customer")),
        ("/child_column", json!("id")),
        ("/chain/0/kind", json!("n_plus_one_reverse")),
        ("/chain/0/parent_table", json!("shop_shop")),
        ("/occurrences", json!(2)),
        ("/queries", json!(80)),
        ("/cost_ms", json!(842.0)),
        ("/children_per_row", json!(1.0)),
        ("/tags/route", json!(["orders/", "orders/<int:pk>/"])),
        (
            "/advice/django",
            json!("Order.objects.select_related(\"customer\")"),
        ),
        ("/advice/saves_ms", json!(421.0)),
        ("/proof/in_order", json!(39)),
        ("/queries_before", json!(41)),
        ("/queries_after", json!(2)),
        ("/example_unit", json!("7")),
    ] {
        assert_eq!(finding.pointer(field), Some(&expected), "{field}");
    }
    let bare = admin
        .get(&format!("/api/v1/findings/{}", snapshots::WRITES))
        .json();
    for field in [
        "parent_fingerprint",
        "parent_query",
        "parent_table",
        "proof",
        "example_unit",
    ] {
        assert_eq!(bare[field], Value::Null, "{field}");
    }
    assert_eq!(bare["children_per_row"], 0.0, "no figure");

    let summary = admin.get("/api/v1/summary").json();
    assert_eq!(summary["findings_open"], 1);
    assert_eq!(summary["units"], 4);
    assert_eq!(summary["units_open"], 1);
    assert_eq!(
        summary["ignore_rules"],
        json!([
            {"rule": "kind = \"write_loop\", table = \"audit_log\"", "matched": 3},
            {"rule": "route = \"reports/\"", "matched": 0},
        ])
    );
}

#[test]
fn findings_are_sorted_filtered_and_searched() {
    let admin = Admin::start(Wanted::default());
    admin.publish(snapshots::snapshot());
    let [forward, writes, repeated] =
        [snapshots::FORWARD, snapshots::WRITES, snapshots::REPEATED].map(|id| id.to_string());
    for (query, expected) in [
        ("", vec![&forward, &writes, &repeated]),
        ("sort=cost", vec![&forward, &writes, &repeated]),
        ("sort=last_seen", vec![&forward, &writes, &repeated]),
        ("sort=queries", vec![&repeated, &forward, &writes]),
        ("sort=occurrences", vec![&writes, &forward, &repeated]),
        ("kind=write_loop", vec![&writes]),
        ("kind=write_loop,duplicate", vec![&writes, &repeated]),
        ("status=open", vec![&forward]),
        ("status=fixed,muted", vec![&writes, &repeated]),
        ("confidence=proved,likely", vec![&forward, &repeated]),
        ("kind=write_loop&status=open", vec![]),
        ("q=SHOP_CUSTOMER", vec![&forward]),
        ("q=select_related", vec![&forward]),
        ("q=order_list", vec![&forward]),
        ("q=00000000000000f1", vec![&writes]),
        ("q=bulk_create", vec![&writes, &repeated]),
        ("q=nowhere", vec![]),
        ("limit=1&after=1", vec![&writes]),
    ] {
        let found = admin.ids(&format!("/api/v1/findings?{query}"));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(admin.get("/api/v1/findings?limit=2").json()["next"], "2");
    for bad in [
        "sort=id",
        "kind=x",
        "status=closed",
        "confidence=proved,x",
        "limit=0",
    ] {
        admin
            .get(&format!("/api/v1/findings?{bad}"))
            .is_error(400, "bad_parameter");
    }
}

#[test]
fn a_muted_finding_is_told_to_the_analysis() {
    let admin = Admin::start(Wanted::default());
    admin.publish(snapshots::snapshot());
    let path = format!("/api/v1/findings/{}", snapshots::FORWARD);
    admin
        .ask("POST", &format!("{path}/mute"), "Host: localhost\r\n")
        .is_error(403, "header_required");
    assert_eq!(admin.post(&format!("{path}/mute")).status, 204);
    assert_eq!(admin.get(&path).json()["status"], "muted");
    assert_eq!(admin.get("/api/v1/summary").json()["findings_open"], 0);
    assert_eq!(admin.ids("/api/v1/findings?status=open"), [""; 0]);
    assert_eq!(admin.post(&format!("{path}/unmute")).status, 204);
    assert_eq!(admin.get(&path).json()["status"], "open");
    admin
        .get(&format!("{path}/mute"))
        .is_error(405, "method_not_allowed");
}

#[test]
fn units_are_asked_for_by_their_test() {
    let admin = Admin::start(Wanted::default());
    admin.publish(snapshots::snapshot());
    let all = admin.ids("/api/v1/units?test=shop/tests.py::test_orders");
    assert_eq!(all.len(), 2);
    for (query, found) in [
        ("test_id=5bd2a4e1c07f3390", 2),
        ("test_id=5bd2a4e1c07f339", 0),
        ("test=test_orders", 0),
        ("q=test:TEST_orders", 2),
        ("q=test:5bd2", 2),
        ("test=&test_id=", 3),
    ] {
        let ids = admin.ids(&format!("/api/v1/units?{query}"));
        assert_eq!(ids.len(), found, "{query}");
    }
}

#[test]
fn units_are_requests_with_their_statements() {
    let admin = Admin::start(Wanted::default());
    let snapshot = snapshots::snapshot();
    let units: Vec<_> = snapshot.units.iter().collect();
    let started = |index: usize| {
        let at = admin.clock.wall(units[index].started_at);
        humantime::format_rfc3339_nanos(at).to_string()
    };
    let (first, second) = (started(0), started(1));
    admin.publish(snapshots::snapshot());
    for (query, expected) in [
        (String::new(), vec!["9", "8", "7"]),
        ("sort=started_at".to_owned(), vec!["9", "8", "7"]),
        ("sort=duration".to_owned(), vec!["7", "9", "8"]),
        ("sort=database_time".to_owned(), vec!["7", "9", "8"]),
        ("sort=queries&limit=1".to_owned(), vec!["9"]),
        ("route=orders/".to_owned(), vec!["7"]),
        ("q=INT:PK".to_owned(), vec!["9"]),
        ("q=order_list".to_owned(), vec!["9", "7"]),
        (format!("finding={}", snapshots::FORWARD), vec!["9", "7"]),
        (format!("finding={}", snapshots::WRITES), vec![]),
        (
            format!("fingerprint={}", snapshots::CHILD),
            vec!["9", "8", "7"],
        ),
        ("fingerprint=00000000000000ff".to_owned(), vec![]),
        (format!("from={second}"), vec!["9", "8"]),
        (format!("from={first}&to={second}"), vec!["7"]),
    ] {
        assert_eq!(
            admin.ids(&format!("/api/v1/units?{query}")),
            expected,
            "{query}"
        );
    }
    for bad in [
        "sort=id",
        "from=yesterday",
        "to=1",
        "fingerprint=x",
        "finding=x",
    ] {
        admin
            .get(&format!("/api/v1/units?{bad}"))
            .is_error(400, "bad_parameter");
    }

    let unit = admin.get("/api/v1/units/7").json();
    for (field, expected) in [
        ("/state", json!("ended")),
        ("/duration_ms", json!(60.0)),
        ("/evidence", json!("transaction")),
        ("/incomplete", json!(false)),
        ("/route", json!("orders/")),
        ("/controller", json!("order_list")),
        ("/application", json!("gunicorn")),
        ("/database", json!("shopdb")),
        ("/queries", json!(4)),
        ("/shapes", json!(2)),
        ("/duplicates", json!(1)),
        ("/phases/database_ms", json!(30.0)),
        ("/phases/application_ms", json!(1.0)),
        ("/findings", json!([snapshots::FORWARD.to_string()])),
        ("/timeline/1/at_ms", json!(2.0)),
        ("/timeline/1/parent_index", json!(0)),
        (
            "/timeline/1/query",
            json!("SELECT name FROM shop_customer WHERE id = $1"),
        ),
        ("/timeline/2/sqlstate", json!("57014")),
        ("/timeline/2/query", json!("")),
        (
            "/tree",
            json!([{"parent_index": 0, "children": [1, 2]}, {"parent_index": 2, "children": [3]}]),
        ),
    ] {
        assert_eq!(unit.pointer(field), Some(&expected), "{field}");
    }
    assert_eq!(admin.get("/api/v1/units/9").json()["state"], "open");
    let incomplete = admin.get("/api/v1/units/8").json();
    assert_eq!(incomplete["incomplete"], true);
    assert_eq!(incomplete["route"], Value::Null);
    assert_eq!(incomplete["findings"], json!([]));
}

#[test]
fn a_shape_knows_its_findings_and_units() {
    let mut admin = Admin::start(Wanted::default());
    admin.run(3);
    admin.publish(snapshots::snapshot());
    for (fingerprint, findings) in [
        (snapshots::CHILD, vec![snapshots::FORWARD]),
        (snapshots::PARENT, vec![snapshots::FORWARD]),
        (
            pgprism::sql::Fingerprint(3),
            vec![snapshots::WRITES, snapshots::REPEATED],
        ),
    ] {
        let shape = admin.get(&format!("/api/v1/queries/{fingerprint}")).json();
        let ids: Vec<&str> = shape["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["id"].as_str().unwrap())
            .collect();
        let expected: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(ids, expected, "{fingerprint}");
        assert_eq!(shape["example_units"].as_array().unwrap().len(), 3);
        assert_eq!(shape["example_units"][0]["id"], "9", "the latest first");
    }
}

#[test]
fn what_is_not_there_says_so() {
    let admin = Admin::start(Wanted::default());
    admin.get("/nothing").is_error(404, "not_found");
    for target in [
        "findings/00000000000000f9",
        "findings/x",
        "units/1",
        "units/x",
    ] {
        admin
            .get(&format!("/api/v1/{target}"))
            .is_error(404, "not_found");
    }
    admin
        .post("/api/v1/findings/00000000000000f9/mute")
        .is_error(404, "not_found");
    admin
        .get("/api/v1/queries/0000000000000009")
        .is_error(404, "not_found");
    admin.get("/api/v1/queries/x").is_error(404, "not_found");
    admin
        .get("/api/v1/queries/other")
        .is_error(404, "not_found");
    admin
        .get("/api/v1/stream?events=nonsense")
        .is_error(400, "bad_parameter");
    let answer = admin.ask(
        "POST",
        "/api/v1/summary",
        "Host: localhost\r\nX-Pgprism: 1\r\n",
    );
    answer.is_error(405, "method_not_allowed");
    assert!(answer.head.contains("allow: get"), "{}", answer.head);
    let answer = admin.get("/api/v1/reset");
    answer.is_error(405, "method_not_allowed");
    assert!(answer.head.contains("allow: post"), "{}", answer.head);
    let head = admin.ask("HEAD", "/api/v1/summary", "Host: localhost\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn foreign_hosts_are_refused() {
    let wanted = Wanted {
        hosts: vec!["pgprism:9433".to_owned()],
        ..Wanted::default()
    };
    let admin = Admin::start(wanted);
    let own = admin.address;
    for host in [
        own.to_string(),
        "localhost:1".to_owned(),
        "pgprism:9433".to_owned(),
    ] {
        assert_eq!(
            admin
                .ask("GET", "/api/v1/summary", &format!("Host: {host}\r\n"))
                .status,
            200,
            "{host}"
        );
    }
    for host in ["evil.example", "pgprism:80", "localhost.evil.example"] {
        admin
            .ask("GET", "/metrics", &format!("Host: {host}\r\n"))
            .is_error(403, "foreign_host");
    }
    admin
        .ask(
            "GET",
            "/metrics",
            "Host: localhost\r\nHost: evil.example\r\n",
        )
        .is_error(400, "bad_request");
    admin
        .ask("GET", "/metrics", "")
        .is_error(400, "bad_request");
    admin
        .ask("GET", "http://evil.example/metrics", "Host: localhost\r\n")
        .is_error(403, "foreign_host");
    let answer = admin.ask(
        "GET",
        "/metrics",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
    );
    assert!(
        !answer.head.contains("access-control"),
        "no other origin may read: {}",
        answer.head
    );
    assert!(
        answer.head.contains("x-content-type-options: nosniff"),
        "{}",
        answer.head
    );
}

#[test]
fn a_token_opens_everything_but_health_needs_none() {
    let wanted = Wanted {
        token: Some("s3cret".to_owned()),
        ..Wanted::default()
    };
    let admin = Admin::start(wanted);
    for target in ["/metrics", "/api/v1/summary", "/api/v1/stream", "/nowhere"] {
        for header in [
            "",
            "Authorization: Bearer wrong\r\n",
            "Authorization: s3cret\r\n",
            "Authorization: B\r\n",
        ] {
            admin
                .ask("GET", target, &format!("Host: localhost\r\n{header}"))
                .is_error(401, "unauthorized");
        }
    }
    assert_eq!(admin.get("/healthz").status, 200);
    assert_eq!(admin.get("/readyz").status, 200);
    for scheme in ["Bearer", "bearer"] {
        let headers = format!("Host: localhost\r\nAuthorization: {scheme} s3cret\r\n");
        assert_eq!(admin.ask("GET", "/metrics", &headers).status, 200);
    }
}

#[test]
fn a_browser_that_knows_the_token_gets_a_cookie_for_it() {
    let admin = Admin::start(Wanted {
        token: Some("s3cret".to_owned()),
        ..Wanted::default()
    });
    let login = |body: &str| admin.send("/api/v1/login", "", body);
    for wrong in ["s3cre", "s3crets", "S3CRET", ""] {
        let answer = login(&format!("{{\"token\": \"{wrong}\"}}"));
        answer.is_error(401, "unauthorized");
        assert!(!answer.head.contains("set-cookie"), "{}", answer.head);
    }
    for body in [
        "",
        "s3cret",
        "{}",
        "{\"token\": 7}",
        "{\"token\": \"s3cret\", \"more\": 1}",
    ] {
        let answer = login(body);
        answer.is_error(400, "bad_request");
        assert!(!answer.body.contains("s3cret"), "{}", answer.body);
    }
    login(&format!("{{\"token\": \"{}\"}}", "x".repeat(5_000))).is_error(413, "body_too_long");
    admin
        .ask("POST", "/api/v1/login", "Host: localhost\r\n")
        .is_error(403, "header_required");

    let answer = login("{\"token\": \"s3cret\"}");
    assert_eq!(answer.status, 204);
    let cookie = answer.header("set-cookie");
    for attribute in ["path=/", "httponly", "samesite=strict", "max-age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("s3cret"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let with = |cookie: &str| {
        admin.ask(
            "GET",
            "/api/v1/summary",
            &format!("Host: localhost\r\nCookie: {cookie}\r\n"),
        )
    };
    for right in [
        pair.to_owned(),
        format!("theme=dark; {pair}"),
        format!("{pair};x=1"),
    ] {
        assert_eq!(with(&right).status, 200, "{right}");
    }
    for wrong in [
        format!("{pair}0"),
        pair[..pair.len() - 1].to_owned(),
        pair.replace("pgprism_session", "pgprism_sessions"),
        "pgprism_session=".to_owned(),
        "pgprism_session=s3cret".to_owned(),
        format!("pgprism_session=x; {pair}"),
    ] {
        with(&wrong).is_error(401, "unauthorized");
    }
    // A header that claims to be the token has to be it.
    let both = format!("{pair}\r\nAuthorization: Bearer wrong");
    with(&both).is_error(401, "unauthorized");

    let gone = admin.send("/api/v1/logout", &format!("Cookie: {pair}\r\n"), "");
    assert_eq!(gone.status, 204);
    assert!(
        gone.header("set-cookie").contains("max-age=0"),
        "{}",
        gone.head
    );
}

#[test]
fn the_page_is_there_without_a_token_and_holds_no_figures() {
    let admin = Admin::start(Wanted {
        token: Some("s3cret".to_owned()),
        ..Wanted::default()
    });
    let document = admin.get("/");
    assert_eq!(document.status, 200);
    assert!(
        document
            .head
            .contains("content-type: text/html; charset=utf-8")
    );
    assert!(
        document.head.contains("script-src 'self'") && !document.head.contains("unsafe"),
        "{}",
        document.head
    );
    for view in [
        "/findings",
        "/findings/5",
        "/requests",
        "/requests/7",
        "/queries",
        "/queries/00000000000000a1",
        "/connections",
        "/live",
        "/login",
    ] {
        assert_eq!(admin.get(view).body, document.body, "{view}");
    }
    let script = admin.get("/assets/app.js");
    assert!(
        script
            .head
            .contains("content-type: text/javascript; charset=utf-8")
    );
    let tag = script.header("etag");
    let again = |path: &str, tag: &str| {
        let headers = format!("Host: localhost\r\nIf-None-Match: {tag}\r\n");
        let answer = admin.ask("GET", path, &headers);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{path}");
        answer
    };
    again("/assets/app.js", tag);
    let document_again = again("/", document.header("etag"));
    assert_eq!(
        document_again.header("content-security-policy"),
        document.header("content-security-policy"),
        "a browser applies it to the document that it has"
    );
    for nothing in [
        "/assets/",
        "/assets/none.js",
        "/assets/../Cargo.toml",
        "/assets/..%2fCargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
    ] {
        admin.get(nothing).is_error(404, "not_found");
    }
}

#[test]
fn readiness_says_what_is_missing() {
    let admin = Admin::start(Wanted {
        unreachable: Some("default: connection refused"),
        ..Wanted::default()
    });
    assert_eq!(admin.get("/healthz").status, 200);
    let answer = admin.get("/readyz");
    answer.is_error(503, "not_ready");
    assert_eq!(
        answer.json()["error"]["message"],
        "default: connection refused"
    );

    let admin = Admin::start(Wanted {
        unreachable: Some("default: connection refused"),
        token: Some("s3cret".to_owned()),
        ..Wanted::default()
    });
    let answer = admin.get("/readyz");
    answer.is_error(503, "not_ready");
    assert!(!answer.body.contains("refused"), "{}", answer.body);
    let headers = "Host: localhost\r\nAuthorization: Bearer s3cret\r\n";
    let answer = admin.ask("GET", "/readyz", headers);
    assert!(
        answer.body.contains("connection refused"),
        "{}",
        answer.body
    );
}

#[test]
fn reset_needs_its_header_and_spares_the_metrics() {
    let mut admin = Admin::start(Wanted::default());
    admin.run(3);
    admin.store.health().event_dropped("ring_full");
    admin
        .store
        .health()
        .decode_error(Direction::UpstreamToClient, "bad_length");
    let summary = admin.get("/api/v1/summary").json();
    assert_eq!(summary["dropped"], 1);
    assert_eq!(
        summary["degraded"][0],
        "decode_error_upstream_to_client: bad_length"
    );
    assert_eq!(summary["degraded"][1], "event_dropped: ring_full");
    let mut incomplete = snapshots::snapshot();
    incomplete.units_cut = 2;
    let units = incomplete.units.iter().map(|unit| {
        Arc::new(UnitRecord {
            started_at: admin.clock.now(),
            ..UnitRecord::clone(unit)
        })
    });
    incomplete.units = units.collect();
    admin.publish(incomplete);
    let summary = admin.get("/api/v1/summary").json();
    assert_eq!(
        summary["degraded"][2],
        "unit_incomplete: statements_missing"
    );
    assert_eq!(
        summary["degraded"][3],
        "unit_incomplete: values_not_followed"
    );

    for headers in ["Host: localhost\r\n", "Host: localhost\r\nX-Pgprism: 0\r\n"] {
        admin
            .ask("POST", "/api/v1/reset", headers)
            .is_error(403, "header_required");
    }
    let long = "Host: localhost\r\nX-Pgprism: 1\r\nContent-Length: 100000\r\n";
    admin
        .ask("POST", "/api/v1/reset", long)
        .is_error(413, "body_too_long");
    assert_eq!(admin.get("/api/v1/summary").json()["queries"], 3);

    let before = admin.get("/metrics").body;
    assert_eq!(
        admin
            .ask(
                "POST",
                "/api/v1/reset",
                "Host: localhost\r\nX-Pgprism: 1\r\n"
            )
            .status,
        204
    );
    let summary = admin.get("/api/v1/summary").json();
    assert_eq!(
        (summary["queries"].as_u64(), summary["dropped"].as_u64()),
        (Some(0), Some(0))
    );
    assert_eq!(summary["degraded"], Value::Array(Vec::new()));
    assert_eq!(admin.get("/metrics").body, before);
}

/// Reads what a stream sends until `wanted` is part of it.
#[track_caller]
fn wait_for(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    let deadline = Instant::now() + DEADLINE;
    let mut piece = [0; 4096];
    while !text.contains(wanted) {
        assert!(Instant::now() < deadline, "no {wanted:?} in {text:?}");
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0, "the stream ended: {text:?}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

#[test]
fn the_stream_tells_findings_that_are_new_or_change() {
    let admin = Admin::start(Wanted::default());
    let mut known = snapshots::snapshot();
    known.findings.truncate(1);
    admin.publish(known);
    let mut stream = admin.connect();
    write!(
        stream,
        "GET /api/v1/stream?events=finding,summary HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    wait_for(&mut stream, &mut text, "event: summary\n");
    admin.publish(snapshots::snapshot());
    wait_for(&mut stream, &mut text, "00000000000000f2");
    assert_eq!(text.matches("event: finding\n").count(), 2, "{text}");
    assert!(!text.contains("00000000000000f0"), "known before: {text}");
    let data = text
        .split("event: finding\n")
        .nth(1)
        .and_then(|after| after.lines().find_map(|line| line.strip_prefix("data: ")))
        .unwrap();
    check_schema(
        &openapi(),
        "#/components/schemas/Finding",
        &serde_json::from_str(data).unwrap(),
    );

    let mut fixed = snapshots::snapshot();
    Arc::make_mut(&mut fixed.findings[0]).finding.status = pgprism::detect::Status::Fixed;
    // Its figures grow with each occurrence, which is nothing to tell.
    Arc::make_mut(&mut fixed.findings[1]).finding.occurrences += 1;
    text.clear();
    admin.publish(fixed);
    wait_for(&mut stream, &mut text, "00000000000000f0");
    wait_for(&mut stream, &mut text, "event: summary\n");
    assert_eq!(text.matches("event: finding\n").count(), 1, "{text}");
    assert!(text.contains("\"status\":\"fixed\""), "{text}");
}

#[test]
fn the_stream_tells_queries_and_summaries() {
    let mut admin = Admin::start(Wanted::default());
    let mut stream = admin.connect();
    write!(
        stream,
        "GET /api/v1/stream?events=query,summary HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    wait_for(&mut stream, &mut text, "event: summary\n");
    assert!(
        text.to_ascii_lowercase()
            .contains("content-type: text/event-stream"),
        "{text}"
    );
    admin.run(2);
    wait_for(&mut stream, &mut text, "shop_order_2");
    wait_for(&mut stream, &mut text, "\"missed\":0}\n");
    let document = openapi();
    for (event, schema) in [("query", "QueryEvent"), ("summary", "Summary")] {
        let data = text
            .split(&format!("event: {event}\n"))
            .nth(1)
            .and_then(|after| after.lines().find_map(|line| line.strip_prefix("data: ")))
            .unwrap_or_else(|| panic!("no {event} in {text}"));
        check_schema(
            &document,
            &format!("#/components/schemas/{schema}"),
            &serde_json::from_str(data).unwrap(),
        );
    }
}

#[test]
fn a_silent_client_does_not_hold_its_place() {
    let bounds = Bounds {
        connections_max: 1,
        scrapes_max: 0,
        streams_max: 0,
        headers_within: Duration::from_millis(300),
        ..Bounds::default()
    };
    let admin = Admin::start(Wanted {
        bounds,
        ..Wanted::default()
    });
    let mut silent = admin.connect();
    let mut slow = admin.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc")
        .unwrap();
    // The only place is taken twice; both give it up without a word of ours.
    assert_eq!(admin.get("/healthz").status, 200);
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_head_without_end_is_cut() {
    let admin = Admin::start(Wanted::default());
    let mut stream = admin.connect();
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    let _ = write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    // The server may close while we still write.
    let refused = (0..100).any(|_| stream.write_all(line.as_bytes()).is_err());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(refused || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(admin.get("/healthz").status, 200);
}

#[test]
fn a_scraper_that_does_not_read_is_one_of_a_few_and_not_for_long() {
    let bounds = Bounds {
        scrapes_max: 1,
        unread_within: Duration::from_secs(1),
        ..Bounds::default()
    };
    let mut admin = Admin::start(Wanted {
        bounds,
        ..Wanted::default()
    });
    admin.run(300);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&admin.address.into()).unwrap();
    let mut deaf = TcpStream::from(socket);
    write!(deaf, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let deadline = Instant::now() + DEADLINE;
    while admin.get("/metrics").status != 503 {
        assert!(
            Instant::now() < deadline,
            "the page went out although nobody read it"
        );
    }
    admin.get("/metrics").is_error(503, "busy");
    assert_eq!(
        admin.get("/api/v1/summary").status,
        200,
        "only scrapes wait"
    );
    while admin.get("/metrics").status != 200 {
        assert!(Instant::now() < deadline, "the place was never given back");
        std::thread::yield_now();
    }
}

#[test]
fn answers_that_nobody_reads_are_cut_and_hold_a_part_of_a_budget() {
    let bounds = Bounds {
        answers_bytes_max: 1,
        answer_within: Duration::from_secs(2),
        ..Bounds::default()
    };
    let mut admin = Admin::start(Wanted {
        bounds,
        ..Wanted::default()
    });
    admin.run(1000);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&admin.address.into()).unwrap();
    let mut deaf = TcpStream::from(socket);
    let list = "/api/v1/queries?limit=1000";
    write!(deaf, "GET {list} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let deadline = Instant::now() + DEADLINE;
    let refused = loop {
        let answer = admin.get(list);
        if answer.status != 200 {
            break answer;
        }
        assert!(
            Instant::now() < deadline,
            "it went out although nobody read it"
        );
    };
    refused.is_error(503, "busy");
    assert_eq!(admin.get("/healthz").status, 200, "small answers go out");
    assert_eq!(admin.get("/api/v1/summary").status, 200);
    while admin.get(list).status != 200 {
        assert!(Instant::now() < deadline, "the reader was never cut");
        std::thread::yield_now();
    }
    let refusals = admin.store.health().admin_refusals();
    let of = |reason| refusals.iter().find(|refusal| refusal.reason == reason);
    assert_eq!(of("answer_time").map(|refusal| refusal.count), Some(1));
    assert!(of("busy").is_some());
}

#[test]
fn stopping_releases_the_port_and_ends_streams() {
    let mut admin = Admin::start(Wanted {
        bounds: Bounds {
            last_answer_within: Duration::from_millis(200),
            ..Bounds::default()
        },
        ..Wanted::default()
    });
    let mut stream = admin.connect();
    write!(
        stream,
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut piece = [0; 1024];
    assert_ne!(stream.read(&mut piece).unwrap(), 0);
    admin.stop.take().unwrap().send(()).unwrap();
    admin.thread.take().unwrap().join().unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    std::net::TcpListener::bind(admin.address).expect("the port is free");
    assert!(
        admin.analysis.feed().position() == 0 && admin.store.health().events_dropped().is_empty()
    );
}
