"""What runs inside Django's own test suite and inside the ORM script: settings, a runner that notes outcomes."""
