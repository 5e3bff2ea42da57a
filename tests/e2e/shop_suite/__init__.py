"""Tests of the demo's shop as a project has them, run by `test_pytest_plugin.py`."""
