"""A shop made of django-oscar as its manual says, for `test_run_oscar.py`."""
