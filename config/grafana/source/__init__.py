"""The dashboards of config/grafana/dashboards, as people write them: `scripts/dashboards` makes the JSON of it."""
