//! Listening sockets that were there before this process: systemd's, or those of the process that it replaces.
//!
//! Each is given to the listener that it was made for: by name, else by address. What nobody wants is closed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use listenfd::ListenFd;
use socket2::SockRef;

use crate::config::Config;
use crate::proxy::ListeningSocket;

/// The name under which the admin address's socket is handed on.
pub(super) const ADMIN: &str = "admin";

/// A socket that is on offer.
#[derive(Debug)]
pub(super) struct Offer {
    /// What it was called by whoever offers it.
    pub(super) name: String,
    pub(super) address: OfferedAddress,
    pub(super) socket: TcpListener,
    /// Whether whoever offers it keeps it open for those that come after us.
    pub(super) is_kept_elsewhere: bool,
}

/// What is known of an offered socket's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfferedAddress {
    /// Where it is bound. The name alone decides: whoever gave it chose the address too.
    Bound(SocketAddr),
    /// What the configuration said when it was bound, port 0 for instance. Both must fit: a listener that has moved
    /// wants a new socket.
    Configured(SocketAddr),
}

/// All sockets that are on offer and not taken.
#[derive(Debug, Default)]
pub(super) struct Offers(Vec<Offer>);

impl Offers {
    pub(super) fn new(offers: Vec<Offer>) -> Offers {
        Offers(offers)
    }

    /// Those that systemd, or whoever speaks as it does, opened for this process (`LISTEN_FDS`).
    ///
    /// To be called before anything else opens a file: the descriptors are named by their numbers.
    pub(super) fn from_systemd() -> io::Result<Offers> {
        // Read first: taking the descriptors takes the other variables away.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut offers = Vec::new();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let Some(socket) = descriptors.take_tcp_listener(index)? else {
                continue;
            };
            if !SockRef::from(&socket).is_listener()? {
                let error = format!("socket {index} ({name}) of LISTEN_FDS does not listen");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
            }
            offers.push(Offer {
                name,
                address: OfferedAddress::Bound(socket.local_addr()?),
                socket,
                is_kept_elsewhere: true,
            });
        }
        Ok(Offers(offers))
    }

    /// Takes the sockets of all listeners.
    pub(super) fn take_listeners(&mut self, config: &Config) -> Vec<ListeningSocket> {
        let listeners = config.listeners.iter().filter_map(|listener| {
            let offer = self.take(&listener.name, listener.listen)?;
            Some(ListeningSocket {
                listener: listener.name.as_str().into(),
                socket: Arc::new(offer.socket),
                is_kept_elsewhere: offer.is_kept_elsewhere,
            })
        });
        listeners.collect()
    }

    /// Takes the admin address's socket.
    pub(super) fn take_admin(&mut self, config: &Config) -> Option<Offer> {
        self.take(ADMIN, config.admin.listen?)
    }

    fn take(&mut self, name: &str, listen: SocketAddr) -> Option<Offer> {
        let by_name = |offer: &Offer| {
            offer.name == name
                && match offer.address {
                    OfferedAddress::Bound(_) => true,
                    OfferedAddress::Configured(address) => address == listen,
                }
        };
        let by_address = |offer: &Offer| match offer.address {
            OfferedAddress::Bound(address) | OfferedAddress::Configured(address) => {
                address == listen && listen.port() != 0
            }
        };
        let index = self.0.iter().position(by_name);
        let index = index.or_else(|| self.0.iter().position(by_address))?;
        Some(self.0.swap_remove(index))
    }

    /// Closes what was not taken, and says so: a listener bound its own instead, or is gone.
    pub(super) fn close(self) {
        for Offer { name, address, .. } in self.0 {
            let (OfferedAddress::Bound(address) | OfferedAddress::Configured(address)) = address;
            tracing::warn!(
                "the socket {name:?} on {address} was handed over, but no listener has this name or address: closed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn offer(name: &str, address: OfferedAddress) -> Offer {
        Offer {
            name: name.to_owned(),
            address,
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
            is_kept_elsewhere: true,
        }
    }

    fn bound(address: &str) -> OfferedAddress {
        OfferedAddress::Bound(address.parse().unwrap())
    }

    fn configured(address: &str) -> OfferedAddress {
        OfferedAddress::Configured(address.parse().unwrap())
    }

    /// The names of the offers that the two listeners and the admin address take, and how many are left.
    fn taken(offers: Vec<Offer>) -> (Vec<String>, usize) {
        let text = "[admin]\nlisten = \"127.0.0.1:3\"\n[[listeners]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\n\
            [[listeners]]\nname = \"b\"\nlisten = \"127.0.0.1:0\"";
        let config = Config::parse(Path::new("a.toml"), text).unwrap();
        let ports: Vec<u16> = offers
            .iter()
            .map(|offer| offer.socket.local_addr().unwrap().port())
            .collect();
        let names: Vec<String> = offers.iter().map(|offer| offer.name.clone()).collect();
        let mut offers = Offers::new(offers);
        let mut taken = Vec::new();
        for socket in offers.take_listeners(&config) {
            let port = socket.socket.local_addr().unwrap().port();
            let index = ports.iter().position(|one| *one == port).unwrap();
            taken.push(format!("{}<{}", socket.listener, names[index]));
        }
        if let Some(offer) = offers.take_admin(&config) {
            taken.push(format!("admin<{}", offer.name));
        }
        (taken, offers.0.len())
    }

    #[test]
    fn systemds_sockets_are_taken_by_name_wherever_they_are_bound() {
        let offers = vec![
            offer("admin", bound("127.0.0.1:9")),
            offer("b", bound("127.0.0.1:8")),
            offer("a", bound("127.0.0.1:7")),
        ];
        let all = ["a<a", "b<b", "admin<admin"].map(str::to_owned).to_vec();
        assert_eq!(taken(offers), (all, 0));
    }

    #[test]
    fn without_a_name_the_address_decides() {
        let offers = vec![
            offer("pgprism.socket", bound("127.0.0.1:3")),
            offer("pgprism.socket", bound("127.0.0.1:1")),
            offer("pgprism.socket", bound("127.0.0.1:5")),
        ];
        let some = ["a<pgprism.socket", "admin<pgprism.socket"];
        assert_eq!(taken(offers), (some.map(str::to_owned).to_vec(), 1));
    }

    #[test]
    fn a_listener_that_has_moved_takes_no_socket_of_the_process_before() {
        let offers = vec![
            offer("a", configured("127.0.0.1:2")),
            offer("b", configured("127.0.0.1:0")),
        ];
        assert_eq!(taken(offers), (vec!["b<b".to_owned()], 1));
        // Renamed, but where it was.
        let offers = vec![offer("old", configured("127.0.0.1:1"))];
        assert_eq!(taken(offers), (vec!["a<old".to_owned()], 0));
        // Port 0 alone is no address.
        let offers = vec![offer("old", configured("127.0.0.1:0"))];
        assert_eq!(taken(offers), (vec![], 1));
    }
}
