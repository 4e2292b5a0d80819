"""What a Prometheus beside the stack needs: where its processes answer, and the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

RULES = Path(__file__).parents[1] / "prometheus"


def build_scraping(metrics_ports: Mapping[str, int]) -> str:
    """Build a Prometheus configuration for processes of this machine, each by its name as `process_name`."""
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"process_name": name}}
        for name, port in metrics_ports.items()
    ]
    return json.dumps(  # JSON is YAML (YAML 1.2, 1.3)
        {
            "global": {"scrape_interval": "5s", "evaluation_interval": "15s"},
            "rule_files": [str(RULES / "*rules.yaml")],
            "scrape_configs": [{"job_name": "zaptik", "static_configs": targets}],
        },
        indent=1,
    )
