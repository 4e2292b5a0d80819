"""What a run does: how long it takes and where the time goes, what it reads and what it changes."""

from __future__ import annotations

from ops.dashboards.panel import Dashboard, Row, lines, quantiles

_ENDED = 'sum(rate(zaptik_runs_total{outcome=~"published|unchanged|quarantined|failed"}[1h]))'

RUNS = Dashboard(
    name="runs",
    title="Zaptik: A run",
    meaning="What does a run do, how long, and where does its time go? One run: `zaptik runs NAME`.",
    rows=(
        Row(
            "Time",
            (
                quantiles(
                    "Run duration",
                    "From a run's start to its end, waits for the instance included.",
                    "zaptik_run_duration_seconds",
                ),
                quantiles(
                    "Publishing, by phase",
                    "Comparing and writing, in the database.",
                    "zaptik_publish_duration_seconds",
                    by="phase",
                ),
                lines(
                    "Slices given back",
                    "Within the hour before, by why: the slice's time was over, the worker stopped, no progress.",
                    ("sum by (reason) (increase(zaptik_slices_total[1h]))", "{{reason}}"),
                    alerts=("ZaptikWorkersDie",),
                ),
                lines(
                    "Time waited for instances",
                    "Seconds in each second of a run under way; requests side by side wait each for itself.",
                    (
                        'sum(rate(zaptik_throttle_wait_seconds_total[1h])) / (max(zaptik_runs{state="running"}) > 0)',
                        "waited",
                    ),
                    alerts=("ZaptikInstanceThrottles",),
                ),
            ),
        ),
        Row(
            "What it reads",
            (
                lines(
                    "Requests for each run",
                    "Within the hour before, by endpoint.",
                    (f"sum by (endpoint) (rate(zaptik_requests_total[1h])) / on () group_left () ({_ENDED} > 0)",
                     "{{endpoint}}"),
                ),
                lines(
                    "Records for each run",
                    "Within the hour before. An idle instance's later runs read next to none.",
                    (f"sum(rate(zaptik_records_total[1h])) / ({_ENDED} > 0)", "records"),
                ),
                lines(
                    "Records a second",
                    "Of the whole fleet.",
                    ("sum(rate(zaptik_records_total[$__rate_interval]))", "records"),
                    unit="ops",
                ),
                lines(
                    "Records that were gone",
                    "Within the hour before: what a complete read no longer gave, by what looking them up told.",
                    ("sum by (fate) (increase(zaptik_gone_records_total[1h]))", "{{fate}}"),
                ),
            ),
        ),
        Row(
            "What it changes",
            (
                lines(
                    "Changes published",
                    "Nodes and edges, within the hour before.",
                    ("sum by (change) (increase(zaptik_revision_changes_total[1h]))", "{{change}}"),
                ),
                lines(
                    "Revisions held back",
                    "Within the hour before: they would have removed a great deal.",
                    ("sum(increase(zaptik_quarantines_total[1h]))", "quarantined"),
                    alerts=("ZaptikRevisionQuarantined",),
                ),
                lines(
                    "Verdicts that changed",
                    "Within the hour before: tables that are read better or worse than in the run before.",
                    ("sum by (from, to) (increase(zaptik_coverage_changes_total[1h])) > 0", "{{from}} to {{to}}"),
                    alerts=("ZaptikCoverageLost",),
                ),
            ),
        ),
    ),
)  # fmt: skip
