//! One direction of a lengthened connection: what was read waits for its time, in the order in which it was read.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use socket2::Socket;

use crate::event::Moment;

/// Bytes that one direction may hold while others hold little: 8 ms at a gigabyte a second.
const WAY_BYTES_MAX: usize = 8 << 20;
/// Bytes that it may always hold: it goes on, however much the others hold.
pub(super) const WAY_BYTES_MIN: usize = 64 << 10;
/// Bytes that all directions may hold, but for those.
const LINE_BYTES_MAX: usize = 256 << 20;
/// What a parcel costs beside its bytes.
const PARCEL_BYTES: usize = 128;
/// Reads in a row before others get their turn.
const READS_IN_A_ROW_MAX: usize = 16;

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    one_way_ns: u64,
    under_way: VecDeque<Parcel>,
    /// What the parcels take.
    held: usize,
    source: Source,
    sink: Sink,
    /// When the sink is to be reset, as the source was.
    reset_at: Option<Moment>,
    /// Whether the line's alarm knows when the next parcel is due.
    pub(super) is_announced: bool,
}

#[derive(Debug)]
struct Parcel {
    due: Moment,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes { bytes: Box<[u8]>, sent: usize },
    Fin,
}

/// Whether a read can give anything; readiness is edge-triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Drained,
    Readable,
    /// The kernel has told of a FIN or an error, and does not again: each read says something.
    Ending,
    /// Its FIN was read.
    Finished,
    /// It was reset, or nobody wants its bytes any more.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Open,
    /// It takes no more until it is told to be writable.
    Full,
    /// It got its FIN.
    Finished,
    /// Writing failed.
    Gone,
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// There is no more, or no room for more.
    Done,
    /// There may be more, but others come first.
    Yielded,
}

/// What came of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// All that was due; the next parcel is due then, if there is one.
    Until(Option<Moment>),
    /// The sink failed: its own peer has to hear of it.
    SinkGone,
    /// The source was reset, and it is time for the sink to be.
    Reset,
}

impl Way {
    pub(super) fn new(one_way_ns: u64) -> Way {
        Way {
            one_way_ns,
            under_way: VecDeque::new(),
            held: 0,
            // What it can do is found out by trying.
            source: Source::Readable,
            sink: Sink::Open,
            reset_at: None,
            is_announced: false,
        }
    }

    /// The source has something to read.
    pub(super) fn readable(&mut self) {
        if self.source == Source::Drained {
            self.source = Source::Readable;
        }
    }

    /// The source has an end to read, behind whatever else there is.
    pub(super) fn ending(&mut self) {
        if matches!(self.source, Source::Drained | Source::Readable) {
            self.source = Source::Ending;
        }
    }

    /// The sink has room.
    pub(super) fn writable(&mut self) {
        if self.sink == Sink::Full {
            self.sink = Sink::Open;
        }
    }

    /// The source was reset: so will be the sink, behind what it takes of what is under way.
    pub(super) fn source_lost(&mut self, now: Moment) {
        self.source = Source::Gone;
        let due = Moment(now.0.saturating_add(self.one_way_ns));
        self.reset_at.get_or_insert(due);
    }

    /// Whether nothing will come of it any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.sink, Sink::Finished | Sink::Gone)
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn has_room(&self, line_held: usize) -> bool {
        self.held < WAY_BYTES_MIN || (self.held < WAY_BYTES_MAX && line_held < LINE_BYTES_MAX)
    }

    /// Reads what there is and what there is room for; `held` counts what all directions hold, `arrived_at` says when it
    /// came.
    pub(super) fn fill(
        &mut self,
        source: &Socket,
        scratch: &mut [u8],
        held: &mut usize,
        arrived_at: impl Fn() -> Moment,
    ) -> Filled {
        for _ in 0..READS_IN_A_ROW_MAX {
            let can_read = matches!(self.source, Source::Readable | Source::Ending);
            if !can_read || !self.has_room(*held) {
                return Filled::Done;
            }
            match (&*source).read(scratch) {
                Ok(0) => {
                    self.source = Source::Finished;
                    *held += self.push(arrived_at(), Content::Fin);
                }
                Ok(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default().into();
                    *held += self.push(arrived_at(), Content::Bytes { bytes, sent: 0 });
                    if count < scratch.len() && self.source == Source::Readable {
                        self.source = Source::Drained;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source = Source::Drained;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.source_lost(arrived_at()),
            }
        }
        Filled::Yielded
    }

    /// Puts it under way; returns what that takes.
    fn push(&mut self, read_at: Moment, content: Content) -> usize {
        let size = content.size();
        self.held += size;
        self.under_way.push_back(Parcel {
            due: Moment(read_at.0.saturating_add(self.one_way_ns)),
            content,
        });
        size
    }

    /// Writes what is due.
    pub(super) fn deliver(&mut self, sink: &Socket, held: &mut usize, now: Moment) -> Delivered {
        while let Some(parcel) = self.under_way.front_mut() {
            if self.sink == Sink::Full {
                // The kernel tells when to go on.
                break;
            }
            if parcel.due > now {
                return Delivered::Until(Some(parcel.due));
            }
            match &mut parcel.content {
                Content::Bytes { bytes, sent } => {
                    let left = bytes.get(*sent..).unwrap_or_default();
                    let wanted = left.len();
                    match (&*sink).write(left) {
                        Ok(count) if count < wanted => {
                            *sent += count;
                            self.sink = Sink::Full;
                            continue;
                        }
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            self.sink = Sink::Full;
                            continue;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(_) => return self.sink_lost(held),
                    }
                }
                Content::Fin => {
                    if sink.shutdown(std::net::Shutdown::Write).is_err() {
                        return self.sink_lost(held);
                    }
                    self.sink = Sink::Finished;
                }
            }
            let size = parcel.content.size();
            self.under_way.pop_front();
            self.held -= size;
            *held -= size;
        }
        // A sink that does not read shall hear of a reset all the same.
        match self.reset_at {
            Some(at) if at <= now => Delivered::Reset,
            next => Delivered::Until(next),
        }
    }

    /// Nobody takes what is under way.
    fn sink_lost(&mut self, held: &mut usize) -> Delivered {
        *held -= self.held;
        self.held = 0;
        self.under_way.clear();
        self.sink = Sink::Gone;
        self.source = Source::Gone;
        Delivered::SinkGone
    }
}

impl Content {
    fn size(&self) -> usize {
        match self {
            Content::Bytes { bytes, .. } => bytes.len() + PARCEL_BYTES,
            Content::Fin => PARCEL_BYTES,
        }
    }
}
