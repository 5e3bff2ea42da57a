"""What the evaluation runs: each scenario says what it is, how it is driven, and what must be found in it."""
