"""Real parts for the end-to-end tests: servers, the proxy, relays, clients, each owned by pid and by folder."""
