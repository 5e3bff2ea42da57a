"""Inputs that no driver would send and no server answer; `test_hostile.py` plays them all."""
