"""The demo's shop behind gunicorn, with one of the tools installed as its own documentation says."""
