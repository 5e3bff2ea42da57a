//! The upstream's list of SASL mechanisms, less the one that a client in plaintext cannot use.
//!
//! An upstream that speaks TLS with us offers `SCRAM-SHA-256-PLUS`, which binds the login to its TLS; libpq, which
//! speaks plaintext with us, takes that for an attack and gives up. This is the only message of the protocol that is
//! ever written anew.

const PLUS: &[u8] = b"SCRAM-SHA-256-PLUS";
/// Tag, length and, of an Authentication message, what it asks for.
const HEADER_BYTES: usize = 5;
const KIND_BYTES: usize = 4;
const SASL: [u8; KIND_BYTES] = [0, 0, 0, 10];
/// A list longer than this is passed on as it is: PostgreSQL's has 40 bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Passes on what an upstream says at the beginning of a login, however it is cut, and changes at most its first
/// Authentication message. After that, or after anything that has no place there, it is done.
///
/// ```
/// use pgprism::wire::sasl::MechanismFilter;
/// let mut filter = MechanismFilter::default();
/// filter.put(b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
/// assert_eq!(filter.take(100), b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");
/// assert!(filter.is_done());
/// ```
#[derive(Debug, Default)]
pub struct MechanismFilter {
    state: State,
    /// What may be passed on.
    ready: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// A message has begun: what came of it is kept until it is known what it is.
    Begun(Vec<u8>),
    /// So many bytes of a message that is passed on are still to come.
    Passing(usize),
    Done,
}

impl Default for State {
    fn default() -> State {
        State::Begun(Vec::new())
    }
}

impl MechanismFilter {
    /// Takes what was read. Of it, at most one list of mechanisms is kept back.
    pub fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Done => {
                    self.ready.extend_from_slice(bytes);
                    return;
                }
                State::Passing(left) => {
                    let passed = (*left).min(bytes.len());
                    let (now, later) = bytes.split_at(passed);
                    self.ready.extend_from_slice(now);
                    bytes = later;
                    *left -= passed;
                    if *left == 0 {
                        self.state = State::default();
                    }
                }
                State::Begun(begun) => {
                    let wanted = wanted(begun).saturating_sub(begun.len());
                    let (now, later) = bytes.split_at(wanted.min(bytes.len()));
                    begun.extend_from_slice(now);
                    bytes = later;
                    if begun.len() >= self::wanted(begun) {
                        self.decide();
                    }
                }
            }
        }
    }

    /// Nothing more will come: what was kept back is passed on.
    pub fn finish(&mut self) {
        if let State::Begun(begun) = std::mem::replace(&mut self.state, State::Done) {
            self.ready.extend(begun);
        }
    }

    /// At most `bytes_max` bytes that may be passed on.
    pub fn take(&mut self, bytes_max: usize) -> Vec<u8> {
        let rest = self.ready.split_off(bytes_max.min(self.ready.len()));
        std::mem::replace(&mut self.ready, rest)
    }

    /// Whether it will change nothing more.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// As much of the message is there as was wanted: says what becomes of it.
    fn decide(&mut self) {
        let State::Begun(begun) = std::mem::take(&mut self.state) else {
            return;
        };
        let Some((tag, message_bytes)) = header(&begun) else {
            return;
        };
        match tag {
            b'R' => {
                match without_plus(&begun) {
                    Some(changed) => self.ready.extend(changed),
                    None => self.ready.extend(begun),
                }
                self.state = State::Done;
            }
            // What a server may say before it asks who is there: it negotiates, or has a notice.
            b'v' | b'N' => {
                self.state = match message_bytes.saturating_sub(begun.len()) {
                    0 => State::default(),
                    left => State::Passing(left),
                };
                self.ready.extend(begun);
            }
            _ => {
                self.ready.extend(begun);
                self.state = State::Done;
            }
        }
    }
}

/// Tag and whole length of the message that has begun, once both are known.
fn header(begun: &[u8]) -> Option<(u8, usize)> {
    let &[tag, ref length @ ..] = begun.first_chunk::<HEADER_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    Some((tag, length.saturating_add(1)))
}

/// How many bytes of a message are wanted before it is decided about.
fn wanted(begun: &[u8]) -> usize {
    let Some((b'R', message_bytes)) = header(begun) else {
        return HEADER_BYTES;
    };
    let kind_end = HEADER_BYTES + KIND_BYTES;
    if !(kind_end..=MESSAGE_BYTES_MAX).contains(&message_bytes) {
        return HEADER_BYTES;
    }
    match begun.get(HEADER_BYTES..kind_end) {
        None => kind_end,
        Some(kind) if kind == SASL => message_bytes,
        Some(_) => kind_end,
    }
}

/// A whole AuthenticationSASL message without the mechanism; `None` where nothing can be taken from it, or nothing
/// would be left.
fn without_plus(message: &[u8]) -> Option<Vec<u8>> {
    let (head, list) = message.split_at_checked(HEADER_BYTES + KIND_BYTES)?;
    if !head.ends_with(&SASL) {
        return None;
    }
    // Names, each with a NUL behind it, and one NUL behind all of them.
    let names = list.strip_suffix(b"\0\0")?;
    let kept: Vec<&[u8]> = names
        .split(|byte| *byte == 0)
        .filter(|name| *name != PLUS)
        .collect();
    let kept_bytes: usize = kept.iter().map(|name| name.len() + 1).sum();
    if kept.is_empty() || kept_bytes == names.len() + 1 {
        return None;
    }
    let length = u32::try_from(KIND_BYTES + KIND_BYTES + kept_bytes + 1).ok()?;
    let mut changed = Vec::with_capacity(message.len());
    changed.push(b'R');
    changed.extend(length.to_be_bytes());
    changed.extend(SASL);
    for name in kept {
        changed.extend(name);
        changed.push(0);
    }
    changed.push(0);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![tag];
        message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend(body);
        message
    }

    fn sasl(names: &[&str]) -> Vec<u8> {
        let mut body = SASL.to_vec();
        for name in names {
            body.extend(name.as_bytes());
            body.push(0);
        }
        body.push(0);
        message(b'R', &body)
    }

    /// What comes out when `bytes` come in pieces that end at `cuts`.
    fn through(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut filter = MechanismFilter::default();
        let mut out = Vec::new();
        let mut start = 0;
        for end in cuts.iter().copied().chain([bytes.len()]) {
            let end = end.clamp(start, bytes.len());
            filter.put(&bytes[start..end]);
            if let State::Begun(begun) = &filter.state {
                assert!(begun.len() <= MESSAGE_BYTES_MAX);
            }
            out.extend(filter.take(7));
            out.extend(filter.take(usize::MAX));
            start = end;
        }
        filter.finish();
        out.extend(filter.take(usize::MAX));
        out
    }

    #[track_caller]
    fn assert_filtered(before: &[u8], after: &[u8]) {
        for cut in 0..=before.len() {
            assert_eq!(through(before, &[cut]), after, "cut at {cut}");
        }
        let everywhere: Vec<usize> = (1..before.len()).collect();
        assert_eq!(through(before, &everywhere), after);
    }

    #[test]
    fn the_mechanism_is_taken_out_wherever_it_stands() {
        let plus = "SCRAM-SHA-256-PLUS";
        for (before, after) in [
            (vec![plus, "SCRAM-SHA-256"], vec!["SCRAM-SHA-256"]),
            (vec!["SCRAM-SHA-256", plus], vec!["SCRAM-SHA-256"]),
            (vec!["A", plus, "OAUTHBEARER"], vec!["A", "OAUTHBEARER"]),
            (vec!["SCRAM-SHA-256-PLUSS"], vec!["SCRAM-SHA-256-PLUSS"]),
            (vec!["SCRAM-SHA-256"], vec!["SCRAM-SHA-256"]),
            (vec![plus], vec![plus]),
            (vec![], vec![]),
        ] {
            let notice = message(b'N', b"SNOTICE\0\0");
            let negotiated = message(b'v', &[0, 3, 0, 0, 0, 0, 0, 0]);
            let behind = message(b'R', &[0, 0, 0, 0]);
            let around = |list: Vec<u8>| [&negotiated[..], &notice, &list, &behind].concat();
            assert_filtered(&around(sasl(&before)), &around(sasl(&after)));
        }
    }

    #[test]
    fn everything_else_passes_as_it_came() {
        let list = sasl(&["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
        let long = "x".repeat(MESSAGE_BYTES_MAX);
        for bytes in [
            // Only the first Authentication message is looked at.
            [message(b'R', &[0, 0, 0, 0]), list.clone()].concat(),
            [message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), list.clone()].concat(),
            [message(b'E', b"SFATAL\0\0"), list.clone()].concat(),
            [b"N".to_vec(), list.clone()].concat(),
            [message(b'D', b""), list.clone()].concat(),
            sasl(&["SCRAM-SHA-256-PLUS", &long]),
            // Not ended, not long enough, longer than it says.
            message(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0"),
            message(b'R', b"\0\0"),
            b"R\0\0\0\x02\0\0\0\x0a".to_vec(),
            b"R\xff\xff\xff\xff\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0".to_vec(),
            list[..list.len() - 1].to_vec(),
            Vec::new(),
        ] {
            assert_filtered(&bytes, &bytes);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_come_out_the_same(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            tag in prop::sample::select(b"RNvES".to_vec()),
            mut cuts in prop::collection::vec(0..400_usize, 0..8),
        ) {
            cuts.sort_unstable();
            let bytes = [message(tag, &bytes), bytes].concat();
            prop_assert_eq!(through(&bytes, &cuts), through(&bytes, &[]));
        }
    }
}
