"""A site of a few pages, served in one process as `DATABASES` is set: what units of work are told apart by."""
