"""The process that plays the scenarios: one for each configuration, in that configuration's environment."""
