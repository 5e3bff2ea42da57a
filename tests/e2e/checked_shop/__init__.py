"""The demo shop's tests as a team would have them, for `pgprism check`: copied beside a copy of the shop."""
