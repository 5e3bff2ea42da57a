"""A shop: the first of the two applications that the scenarios run on."""
