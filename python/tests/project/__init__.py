"""A project with every kind of relation, to take the map of."""
