"""The dashboards for Grafana, made from code: `python -m ops.dashboards` writes them to `ops/grafana/`."""
