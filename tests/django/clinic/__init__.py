"""A clinic: keys that are no integers, tables and columns with names of their own, inheritance."""
