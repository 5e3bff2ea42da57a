"""The shop's pages, by how they treat the database."""
