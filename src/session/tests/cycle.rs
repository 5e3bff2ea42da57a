//! What is taken together is what comes message by message: random conversations, each played in whole reads and in
//! cut ones.

use proptest::prelude::*;

use super::Script;
use super::wire::*;
use crate::event::Direction;
use crate::session::Settings;

/// SplitMix64: one seed is one conversation.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) as usize % most
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const TEXTS: [&str; 3] = [
    "SELECT \"a\".\"id\" FROM \"a\" WHERE \"a\".\"id\" = $1 LIMIT 21",
    "SELECT \"b\".\"id\", \"b\".\"name\" FROM \"b\" WHERE \"b\".\"name\" = $1",
    "UPDATE \"c\" SET \"price\" = $1 WHERE \"c\".\"id\" = 12345",
];

/// What the client sends, and what the server will say to it.
#[derive(Default)]
struct Talk {
    requests: Vec<u8>,
    replies: Vec<Vec<u8>>,
    /// An error came: what follows up to Sync is not answered.
    skips: bool,
}

impl Talk {
    fn say(&mut self, request: Vec<u8>, reply: Vec<u8>, random: &mut Random) {
        self.requests.extend(request);
        if self.skips {
            return;
        }
        self.skips = random.chance(3);
        let reply = match self.skips {
            true => error("ERROR", "22012"),
            false => reply,
        };
        self.replies.push(reply);
    }

    fn bind(&mut self, portal: &str, statement: &str, random: &mut Random) {
        let values: [&[u8]; 3] = [b"12345678", b"a longer text than a key", b"7"];
        let value = random.chance(90).then(|| random.one(&values));
        let request = bind_values(portal, statement, &[], &[value], &[]);
        self.say(request, bind_complete(), random);
    }

    fn describe(&mut self, portal: &str, random: &mut Random) {
        let described = match random.below(4) {
            0 => no_data(),
            1 => columns(&[("id", 23), ("name", 25)]),
            _ => columns(&[("name", 25), ("id", 20)]),
        };
        self.say(describe('P', portal), described, random);
    }

    fn execute(&mut self, portal: &str, rows_max: i32, random: &mut Random) {
        let rows = random.below(4);
        let mut reply = data_row(&[Some(b"4711"), Some(b"0815")]).repeat(rows);
        match rows_max {
            0 => reply.extend(complete(&format!("SELECT {rows}"))),
            _ => reply.extend(suspended()),
        }
        self.say(execute(portal, rows_max), reply, random);
    }

    fn usual(&mut self, random: &mut Random) {
        let statement = random.one(&["", "", "", "s"]);
        if statement.is_empty() && random.chance(85) {
            self.say(parse("", random.one(&TEXTS)), parse_complete(), random);
        }
        self.bind("", statement, random);
        if random.chance(80) {
            self.describe("", random);
        }
        self.execute("", 0, random);
    }

    fn unusual(&mut self, random: &mut Random) {
        let name = random.one(&["", "s"]);
        let portal = random.one(&["", "c"]);
        match random.below(8) {
            0 => self.say(parse(name, random.one(&TEXTS)), parse_complete(), random),
            1 => self.bind(portal, name, random),
            2 => self.describe(portal, random),
            3 => {
                let rows_max = random.one(&[0, 2]);
                self.execute(portal, rows_max, random);
            }
            4 => self.say(close('S', name), close_complete(), random),
            5 => self.say(close('P', portal), close_complete(), random),
            6 => {
                let told = [parameter_description(&[23]), no_data()].concat();
                self.say(describe('S', name), told, random);
            }
            _ => self.requests.extend(flush()),
        }
    }

    fn sync(&mut self, random: &mut Random) {
        self.requests.extend(sync());
        self.replies.push(ready(random.one(b"IIIT")));
        self.skips = false;
    }
}

/// Plays the same reads to two sessions, of which the other sees them cut.
struct Both {
    whole: Script,
    cut: Script,
    now: u64,
}

impl Both {
    fn new() -> Both {
        let settings = Settings::default();
        let [mut whole, mut cut] =
            [&settings, &settings].map(|settings| Script::at_login(settings.clone()));
        for script in [&mut whole, &mut cut] {
            script.upstream(0, &[authentication_ok(), ready(b'I')].concat());
        }
        Both { whole, cut, now: 0 }
    }

    fn relay(&mut self, direction: Direction, bytes: &[u8], random: &mut Random) {
        self.now += 1;
        if bytes.is_empty() {
            return;
        }
        self.whole.try_relay(direction, self.now, bytes).unwrap();
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = match random.chance(70) {
                // A message.
                true => {
                    let length = rest.get(1..5).map_or(1, |length| {
                        1 + u32::from_be_bytes(length.try_into().unwrap()) as usize
                    });
                    length.min(rest.len())
                }
                false => 1 + random.below(rest.len().min(40)),
            };
            let (piece, behind) = rest.split_at(most);
            self.cut.try_relay(direction, self.now, piece).unwrap();
            rest = behind;
        }
        assert_eq!(self.whole.session.state(), self.cut.session.state());
        assert_eq!(self.whole.session.rest(), self.cut.session.rest());
    }

    fn compare(&mut self) {
        self.whole.close();
        self.cut.close();
        let (whole, cut) = (&self.whole.sink, &self.cut.sink);
        let told = |script: &super::Recorder| {
            format!("{:?}{:?}{:?}", script.events, script.rows, script.closed)
        };
        assert_eq!(whole.told, cut.told);
        for (whole, cut) in whole.exchanges.iter().zip(&cut.exchanges) {
            assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
            assert_eq!(whole.flow, cut.flow);
        }
        assert_eq!(told(whole), told(cut));
    }
}

fn converse(seed: u64) {
    let mut random = Random(seed);
    let mut both = Both::new();
    // Until the texts are familiar.
    for text in TEXTS.iter().cycle().take(TEXTS.len() * 5) {
        let mut talk = Talk::default();
        talk.say(parse("", text), parse_complete(), &mut Random(0));
        talk.requests.extend(sync());
        both.relay(Direction::ClientToUpstream, &talk.requests, &mut random);
        let replies = [talk.replies.concat(), ready(b'I')].concat();
        both.relay(Direction::UpstreamToClient, &replies, &mut random);
    }
    let mut talk = Talk::default();
    for _ in 0..60 {
        match random.below(10) {
            0..5 => talk.usual(&mut random),
            5..7 => talk.unusual(&mut random),
            _ => talk.sync(&mut random),
        }
        if random.chance(50) {
            let requests = std::mem::take(&mut talk.requests);
            both.relay(Direction::ClientToUpstream, &requests, &mut random);
            let ready = random.below(talk.replies.len() + 1);
            let replies: Vec<_> = talk.replies.drain(..ready).collect();
            both.relay(Direction::UpstreamToClient, &replies.concat(), &mut random);
        }
    }
    both.compare();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_read_is_what_its_messages_are(seed in any::<u64>()) {
        converse(seed);
    }
}

#[test]
fn a_round_that_comes_again_is_one_entry_and_counts_as_its_messages() {
    let mut s = Script::at_login(Settings {
        awaited_max: 11,
        ..Settings::default()
    });
    s.upstream(0, &[authentication_ok(), ready(b'I')].concat());
    let round = [
        parse("", TEXTS[0]),
        bind_values("", "", &[], &[Some(b"7")], &[]),
        describe('P', ""),
        execute("", 0),
    ]
    .concat();
    let answer = [
        parse_complete(),
        bind_complete(),
        columns(&[("id", 23)]),
        data_row(&[Some(b"7")]),
        complete("SELECT 1"),
    ]
    .concat();
    for n in 1..6 {
        s.client(n, &[round.clone(), sync()].concat());
        s.upstream(n, &[answer.clone(), ready(b'I')].concat());
    }
    let replaced = s.session.held_bytes();
    s.client(10, &[round.repeat(2), sync()].concat());
    assert!(s.session.held_bytes() > replaced);
    s.upstream(11, &[answer.repeat(2), ready(b'I')].concat());
    let flows: Vec<_> = s.sink.exchanges.iter().map(|e| &e.flow).collect();
    assert_eq!(flows.len(), 7);
    assert!(flows.iter().all(|flow| *flow == flows[0]));
    // Twelve messages are one more than may be in flight, however few entries they are.
    let direction = Direction::ClientToUpstream;
    s.try_relay(direction, 12, &round.repeat(2)).unwrap();
    assert!(s.try_relay(direction, 13, &round).is_err());
}
