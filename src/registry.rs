//! What is true now of connections, listeners and upstreams: written by `proxy`, read by `export`.
