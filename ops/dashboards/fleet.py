"""The fleet: is every tenant fresh, does work flow, is something away."""

from __future__ import annotations

from ops.dashboards.panel import Dashboard, Panel, Query, Row, lines, stat

_STALE = (
    '1 - sum(zaptik_tenant_staleness_ratio_bucket{le="2.0"}) / (sum(zaptik_tenant_staleness_ratio_count) > 0)'
)
_FRESH = ("ZaptikGraphsStaleFast", "ZaptikGraphsStaleSlow")

FLEET = Dashboard(
    name="fleet",
    title="Zaptik: Fleet",
    meaning="Is every tenant fresh, does work flow, is something away?",
    rows=(
        Row(
            "Now",
            (
                stat(
                    "Stale tenants",
                    _STALE,
                    "The share of active tenants whose graph is older than two cadences. The objective: 1 in 100.",
                    unit="percentunit",
                    alerts=_FRESH,
                    warn=0.01,
                    alarm=0.144,
                ),
                stat(
                    "Active tenants",
                    'max(zaptik_tenants{state="active"})',
                    "Tenants that are read.",
                ),
                stat(
                    "Paused tenants",
                    'max(zaptik_tenants{state="paused"})',
                    "They wait for a person: credentials were refused, or somebody paused them.",
                    alerts=("ZaptikTenantsPaused",),
                    warn=1,
                ),
                stat(
                    "Quarantined",
                    "max(zaptik_tenants_quarantined)",
                    "Tenants whose newest revision waits for a person.",
                    alerts=("ZaptikRevisionQuarantined",),
                    warn=1,
                ),
                stat(
                    "Last round",
                    "time() - max(zaptik_scheduler_last_tick_timestamp_seconds)",
                    "How long ago a scheduler ended a round.",
                    unit="s",
                    alerts=("ZaptikSchedulerSilent",),
                    warn=30,
                    alarm=120,
                ),
                stat(
                    "Oldest due",
                    "max(zaptik_oldest_due_seconds)",
                    "How long the tenant that waits longest has waited for its turn, or for a worker.",
                    unit="s",
                    alerts=("ZaptikRunsWait",),
                    warn=300,
                    alarm=900,
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                Panel(
                    "What fires",
                    "Alerts of ours that fire now; the annotation `runbook` of each says where to read on.",
                    (
                        Query(
                            'count by (alertname, severity) (ALERTS{alertname=~"Zaptik.*",alertstate="firing"})'
                        ),
                    ),
                    kind="table",
                ),
                lines(
                    "Stale tenants over time",
                    "The same share, beside what burns the budget of a month too fast within an hour (14.4 times).",
                    (_STALE, "stale"),
                    ("vector(0.144)", "page"),
                    ("vector(0.01)", "objective"),
                    unit="percentunit",
                    alerts=_FRESH,
                ),
                Panel(
                    "Staleness",
                    "Tenants by the age of their graph over their cadence.",
                    (Query("max by (le) (zaptik_tenant_staleness_ratio_bucket)", "{{le}}"),),
                    kind="heatmap",
                    alerts=_FRESH,
                ),
            ),
        ),
        Row(
            "Work",
            (
                lines(
                    "Runs",
                    "Runs that wait (requested) and are under way (running), of the whole fleet.",
                    ("max by (state) (zaptik_runs)", "{{state}}"),
                    alerts=("ZaptikRunsWait", "ZaptikWorkStandsStill"),
                ),
                lines(
                    "Runs by outcome",
                    "Runs that ended, or go to another try, within the hour before.",
                    ("sum by (outcome) (increase(zaptik_runs_total[1h]))", "{{outcome}}"),
                    ("sum(increase(zaptik_runs_given_up_total[1h]))", "given up by the scheduler"),
                    alerts=("ZaptikRunsFailFast", "ZaptikRunsFailSlow", "ZaptikWorkStandsStill"),
                ),
                lines(
                    "Runs that failed, by code",
                    "docs/reference/errors.md says what a code means and whose move it is.",
                    ('sum by (code) (increase(zaptik_runs_total{outcome="failed"}[1h])) > 0', "{{code}}"),
                    alerts=(
                        "ZaptikRunsFailFast",
                        "ZaptikRunsFailSlow",
                        "ZaptikKeyMissing",
                        "ZaptikSealBroken",
                    ),
                ),
                lines(
                    "Runs that are tried again, by code",
                    "A run that comes through after another try is no failure; many of one code are worth a look.",
                    ('sum by (code) (increase(zaptik_runs_total{outcome="retried"}[1h])) > 0', "{{code}}"),
                    alerts=("ZaptikInstanceThrottles", "ZaptikKeyMissing"),
                ),
            ),
        ),
        Row(
            "Processes",
            (
                lines(
                    "Workers and schedulers",
                    "Those that reported to PostgreSQL within 40 seconds.",
                    ("max by (kind) (zaptik_processes)", "{{kind}}"),
                    alerts=("ZaptikWorkersGone", "ZaptikSchedulerSilent"),
                ),
                lines(
                    "What is away",
                    "Processes that PostgreSQL or Redis does not answer.",
                    ("count by (dependency) (zaptik_dependency_up == 0)", "{{dependency}}"),
                    alerts=("ZaptikPostgreSQLAway", "ZaptikRedisAway"),
                ),
                lines(
                    "Runs rescued and given up",
                    "Runs whose worker fell silent, within the hour before.",
                    ("sum(increase(zaptik_runs_rescued_total[1h]))", "rescued"),
                    ("sum(increase(zaptik_runs_given_up_total[1h]))", "given up"),
                    ("sum(increase(zaptik_publish_fenced_total[1h]))", "came too late, and wrote nothing"),
                    alerts=("ZaptikWorkersDie",),
                ),
                lines(
                    "Releases",
                    "Processes by their release; two at a time is an upgrade under way.",
                    ("count by (version, process) (zaptik_build_info)", "{{process}} {{version}}"),
                    alerts=("ZaptikReleasesMixed", "ZaptikWorkersGone"),
                ),
                lines(
                    "Unforeseen failures",
                    "Exceptions that nobody planned for, within the hour before: defects of ours.",
                    ("sum(increase(zaptik_unforeseen_failures_total[1h]))", "failures"),
                    alerts=("ZaptikUnforeseenFailure",),
                ),
            ),
        ),
    ),
)
