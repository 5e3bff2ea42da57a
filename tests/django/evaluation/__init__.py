"""Runs the labelled scenarios through the proxy and scores what it says of them."""
