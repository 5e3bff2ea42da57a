"""What the proxy costs: the benchmark that anyone can run, beside HAProxy, PgBouncer and a bare relay.

*Architecture invariant:* nothing here knows how a proxy works inside. A contender is an address, a process that is
looked at from outside, and for pgprism its `/metrics`. How servers and proxies are started is the end-to-end tests':
`tests/e2e/support`.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))
