//! A client: what it sends, when it waits, and how it leaves.

use crate::messages::*;
use crate::random::Random;
use crate::statements::{long, ordinary, select, transactional};

/// A run of messages that is sent at once.
#[derive(Debug, Clone)]
struct Step {
    bytes: Vec<u8>,
    /// Whether the client waits for a ReadyForQuery before its next step.
    waits: bool,
}

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Terminate, then FIN; it reads what still comes.
    Terminate,
    /// FIN without a word; it reads what still comes.
    Finish,
    /// It closes its socket, whatever still comes.
    Close,
    /// It is reset.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Client {
    steps: Vec<Step>,
    place: usize,
    sent_of_step: usize,
    left_to_send: usize,
    pub(crate) ending: Ending,
    /// Everything it was to say, it has said.
    pub(crate) is_whole: bool,
    /// What came and is not looked at yet.
    pub(crate) input: Vec<u8>,
    readies: usize,
    readies_before: usize,
    /// It does not wait longer than this.
    patience: Option<u64>,
    pub(crate) has_ended: bool,
    pub(crate) is_bulky: bool,
}

const PATIENCE: u64 = 20_000_000;

impl Client {
    pub(crate) fn new(mut random: Random, is_asked_for_password: bool) -> Client {
        let is_bulky = random.chance(12);
        let mut plan = Plan {
            steps: Vec::new(),
            is_bulky,
            is_patient: random.chance(60),
            named: 0,
        };
        // Requests may be sent before the login is over.
        let waits = random.chance(70);
        if is_asked_for_password {
            plan.say(message(b'p', b"secret\0"), waits);
        } else {
            plan.say(Vec::new(), waits);
        }
        for _ in 0..random.size(1, 30) {
            plan.add(&mut random);
        }
        let steps = plan.steps;
        let total: usize = steps.iter().map(|step| step.bytes.len()).sum();
        let is_cut = random.chance(20);
        let ending = match random.size(0, 20) {
            0..=9 => Ending::Terminate,
            10..=15 => Ending::Finish,
            16..=17 => Ending::Close,
            _ => Ending::Reset,
        };
        Client {
            steps,
            place: 0,
            sent_of_step: 0,
            left_to_send: if is_cut {
                random.size(0, total)
            } else {
                usize::MAX
            },
            ending,
            is_whole: !is_cut,
            input: Vec::new(),
            readies: 0,
            readies_before: 0,
            patience: None,
            has_ended: false,
            is_bulky,
        }
    }

    /// Looks at what came.
    pub(crate) fn hear(&mut self) {
        while let Some((tag, _)) = take_message(&mut self.input) {
            self.readies += usize::from(tag == b'Z');
        }
    }

    /// What it wants to send now.
    pub(crate) fn to_send(&mut self, now: u64) -> &[u8] {
        while let Some(step) = self.steps.get(self.place) {
            if self.sent_of_step < step.bytes.len() {
                let rest = &step.bytes[self.sent_of_step..];
                return &rest[..rest.len().min(self.left_to_send)];
            }
            let is_over = !step.waits
                || self.readies > self.readies_before
                || now >= *self.patience.get_or_insert(now + PATIENCE);
            if !is_over {
                return &[];
            }
            self.place += 1;
            self.sent_of_step = 0;
            self.readies_before = self.readies;
            self.patience = None;
        }
        &[]
    }

    pub(crate) fn went(&mut self, count: usize) {
        self.sent_of_step += count;
        self.left_to_send -= count;
    }

    /// When it wants to be asked again although nothing came.
    pub(crate) fn alarm(&self) -> Option<u64> {
        self.patience
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left_to_send == 0 || self.place >= self.steps.len()
    }

    /// Says Terminate, if it is to and can.
    pub(crate) fn say_goodbye(&mut self) {
        if self.ending == Ending::Terminate && self.is_whole {
            self.steps.push(Step {
                bytes: terminate(),
                waits: false,
            });
            self.ending = Ending::Finish;
        }
    }
}

/// A client's script in the making.
struct Plan {
    steps: Vec<Step>,
    is_bulky: bool,
    is_patient: bool,
    /// Names given to statements so far.
    named: u64,
}

impl Plan {
    fn say(&mut self, bytes: Vec<u8>, waits: bool) {
        self.steps.push(Step { bytes, waits });
    }

    fn add(&mut self, random: &mut Random) {
        let waits = self.is_patient || random.chance(40);
        let bytes = match random.size(0, 42) {
            0..=5 => query(&ordinary(random, self.is_bulky)),
            6..=7 => {
                let texts: Vec<String> = (0..random.size(2, 5))
                    .map(|_| ordinary(random, false))
                    .collect();
                query(&texts.join(random.pick(&["; ", ";", " ;; "])))
            }
            8 => query(random.pick(&["", ";", " -- nothing\n"])),
            9..=13 => query(&transactional(random)),
            14..=17 => [self.group(random, 1), sync()].concat(),
            18..=20 => [self.group(random, 4), sync()].concat(),
            21..=23 => (0..random.size(2, 5))
                .flat_map(|_| {
                    let count = random.size(1, 3);
                    [self.group(random, count), sync()].concat()
                })
                .collect(),
            24 => {
                let text = transactional(random);
                [self.extended(random, &text), sync()].concat()
            }
            25 => {
                let first = [self.group(random, 1), flush()].concat();
                self.say(first, false);
                [self.group(random, 1), sync()].concat()
            }
            26..=28 => self.portal(random),
            29..=31 => return self.cursor(random),
            32..=34 => self.copy_in(random),
            35 => {
                let data = copy_data(b"status").repeat(random.size(0, 4));
                let begins = query("START_REPLICATION SLOT s LOGICAL 0/0");
                [begins, data, copy_done()].concat()
            }
            36 => function_call(),
            37 => query(&long(random)),
            38 => {
                let name = format!("p{}", random.between(0, self.named + 1));
                [close(random.pick(b"SP"), &name), sync()].concat()
            }
            // Out of place: a server drops them.
            39 => [copy_data(b"late"), copy_done(), flush()].concat(),
            40 => {
                let text = "INSERT INTO deferred (a) VALUES (1)";
                match random.chance(50) {
                    true => query(text),
                    false => [self.extended(random, text), sync()].concat(),
                }
            }
            _ if random.chance(10) => query("SELECT pg_terminate_backend(1)"),
            _ if random.chance(5) => message(b'y', b"what?"),
            _ => sync(),
        };
        self.say(bytes, waits);
    }

    /// Some extended queries, as drivers send them, without their Sync.
    fn group(&mut self, random: &mut Random, count: usize) -> Vec<u8> {
        (0..count)
            .flat_map(|_| {
                let text = match random.size(0, 12) {
                    0 => String::new(),
                    1 => "SELECT unbindable FROM t1".to_owned(),
                    _ => ordinary(random, self.is_bulky),
                };
                self.extended(random, &text)
            })
            .collect()
    }

    /// A portal whose rows come in parts.
    fn portal(&self, random: &mut Random) -> Vec<u8> {
        let portal = random.pick(&["", "c1", "c2"]);
        let mut bytes = [parse("", &select(random, false)), bind(portal, "", None)].concat();
        for _ in 0..random.size(1, 4) {
            bytes.extend(execute(portal, random.between(1, 4) as u32));
            if random.chance(20) {
                bytes.extend(flush());
            }
            if random.chance(15) {
                bytes.extend(sync());
            }
        }
        if random.chance(40) {
            bytes.extend(execute(portal, 0));
        }
        if random.chance(40) {
            bytes.extend(close(b'P', portal));
        }
        [bytes, sync()].concat()
    }

    /// A transaction with a cursor, all of it or not.
    fn cursor(&mut self, random: &mut Random) {
        let cursor = format!("cur{}", random.between(0, 3));
        let mut texts = vec!["BEGIN".to_owned()];
        texts.push(format!(
            "DECLARE {cursor} CURSOR FOR {}",
            select(random, false)
        ));
        for _ in 0..random.size(0, 4) {
            texts.push(format!("FETCH {} FROM {cursor}", random.between(1, 5)));
            if random.chance(20) {
                texts.push(ordinary(random, false));
            }
        }
        if random.chance(50) {
            texts.push(format!("CLOSE {cursor}"));
        }
        if random.chance(80) {
            texts.push(random.pick(&["COMMIT", "ROLLBACK"]).to_owned());
        }
        let is_simple = random.chance(60);
        for text in texts {
            let bytes = match is_simple {
                true => query(&text),
                false => [self.extended(random, &text), sync()].concat(),
            };
            self.say(bytes, self.is_patient || random.chance(40));
        }
    }

    /// A COPY that the client feeds, to its end.
    fn copy_in(&self, random: &mut Random) -> Vec<u8> {
        let text = match random.chance(25) {
            true => format!("COPY bad FROM STDIN {}", random.between(0, 3)),
            false => "COPY t1 FROM STDIN".to_owned(),
        };
        let size = random.pick(&[1, 20, 300, 30_000]);
        let data = copy_data(&vec![b'7'; size]).repeat(random.size(0, 6));
        let end = match random.chance(20) {
            true => copy_fail(),
            false => copy_done(),
        };
        if random.chance(50) {
            return [query(&text), data, end].concat();
        }
        // Some drivers send the Sync with the Execute: the server does not see it as one then.
        let early = random.pick(&[&b""[..], &sync(), &flush()]).to_vec();
        let begins = [parse("", &text), bind("", "", None), execute("", 0)].concat();
        [begins, early, data, end, sync()].concat()
    }

    /// Parse, Bind, perhaps Describe, Execute of a text; or without Parse, of a name that was given before. A name is
    /// given once: the second Parse would be refused, and what a pipeline behind it means is nobody's wish.
    fn extended(&mut self, random: &mut Random, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (name, is_new) = match random.size(0, 8) {
            0 => {
                self.named += 1;
                (format!("p{}", self.named), true)
            }
            1 if self.named > 0 => (format!("p{}", random.between(1, self.named + 1)), false),
            _ => (String::new(), true),
        };
        if is_new {
            bytes.extend(parse(&name, text));
            if random.chance(30) {
                bytes.extend(describe(b'S', &name));
            }
        }
        let value = vec![b'v'; random.pick(&[1, 9, 2_000])];
        let parameter = random.chance(30).then_some(&value[..]);
        bytes.extend(bind("", &name, parameter));
        if random.chance(70) {
            bytes.extend(describe(b'P', ""));
        }
        bytes.extend(execute("", 0));
        bytes
    }
}
