//! Places for sessions: so many in all, so many for each client address.
//!
//! A seat is taken with a StartupMessage. Clients that have not said what they want, and CancelRequests, need none:
//! the acceptor lets a few more sockets in than there are seats.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use super::{Shared, Tunables};
use crate::registry::ConnectionError;

/// How many seats each address has.
type Addresses = HashMap<IpAddr, usize, RandomState>;

/// All seats that are taken.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: AtomicUsize,
    /// Addresses with a seat: no more than there are seats. Counted without a limit too, which a reload may set.
    by_address: Mutex<Addresses>,
}

/// Why there is no seat; carries the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    InAll(usize),
    ForAddress(usize),
}

impl Full {
    /// What is counted.
    pub(super) fn reason(self) -> ConnectionError {
        match self {
            Full::InAll(_) => ConnectionError::ConnectionLimit,
            Full::ForAddress(_) => ConnectionError::AddressLimit,
        }
    }

    /// What the client at `address` is told.
    pub(super) fn words(self, address: IpAddr) -> String {
        match self {
            Full::InAll(limit) => {
                format!("too many connections: the limit of {limit} is reached")
            }
            Full::ForAddress(limit) => {
                format!("too many connections: {address} has reached the limit of {limit}")
            }
        }
    }
}

impl Seats {
    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        // A panic elsewhere leaves the map whole: each change is one insert, one addition or one removal.
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, address: IpAddr) {
        self.taken.fetch_sub(1, Relaxed);
        let mut addresses = self.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// A place among `connections_max`, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Seat {
    pub(super) fn take(
        shared: &Arc<Shared>,
        tunables: &Tunables,
        address: IpAddr,
    ) -> Result<Seat, Full> {
        let seats = &shared.seats;
        let in_all = tunables.connections_max;
        seats
            .taken
            .fetch_update(Relaxed, Relaxed, |taken| {
                (taken < in_all).then_some(taken + 1)
            })
            .map_err(|_| Full::InAll(in_all))?;
        // From here on it is given back by its drop, whatever the address says.
        *seats.addresses().entry(address).or_default() += 1;
        let seat = Seat {
            shared: Arc::clone(shared),
            address,
        };
        let for_address = tunables.connections_per_address_max;
        if for_address > 0 && seat.count_of_address() > for_address {
            return Err(Full::ForAddress(for_address));
        }
        Ok(seat)
    }

    /// Seats of its address, itself included.
    fn count_of_address(&self) -> usize {
        let addresses = self.shared.seats.addresses();
        addresses.get(&self.address).copied().unwrap_or_default()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.seats.give_back(self.address);
    }
}
