"""pgprism beside the tools that answer the same question, on the same Django pages in one run: `scripts/compare`."""
