"""The second project's settings and rows."""
