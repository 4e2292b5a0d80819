"""Customers' instances: do they answer, how fast, and what do they ask for."""

from __future__ import annotations

from ops.dashboards.panel import Dashboard, Row, lines, quantiles, stat

_AWAY = ("ZaptikInstanceAway", "ZaptikInstancesAwayWidely")
_429 = 'sum(rate(zaptik_requests_total{status="429"}[$__rate_interval]))'
_REQUESTS = "sum(rate(zaptik_requests_total[$__rate_interval]))"

INSTANCES = Dashboard(
    name="instances",
    title="Zaptik: Instances and throttling",
    meaning="Do instances answer, do they throttle, do they refuse? Which: `zaptik status`.",
    rows=(
        Row(
            "Now",
            (
                stat(
                    "Breakers open",
                    'max(sum without (state) (zaptik_breakers{state=~"open|half_open"}))',
                    "Instances that did not answer slice after slice, and are left alone for a while.",
                    alerts=_AWAY,
                    warn=1,
                    alarm=3,
                ),
                stat(
                    "Answers 429",
                    f"({_429} or vector(0)) / ({_REQUESTS} > 0)",
                    "The share of answers by which instances ask for a pause.",
                    unit="percentunit",
                    alerts=("ZaptikInstanceThrottles",),
                    warn=0.05,
                    alarm=0.2,
                ),
                stat(
                    "Requests a second",
                    _REQUESTS,
                    "To all instances together, token and aggregates included.",
                    unit="reqps",
                    alerts=("ZaptikWorkStandsStill",),
                ),
                stat(
                    "Tokens refused in the hour",
                    'sum(increase(zaptik_token_requests_total{outcome="refused"}[1h]))',
                    "Each pauses its tenant.",
                    alerts=("ZaptikCredentialsRefused", "ZaptikCredentialsRefusedWidely"),
                    warn=1,
                ),
            ),
        ),
        Row(
            "Answers",
            (
                lines(
                    "Requests by status",
                    "0 is no answer at all: no connection, no TLS, or not in time.",
                    ("sum by (status) (rate(zaptik_requests_total[$__rate_interval]))", "{{status}}"),
                    unit="reqps",
                    alerts=("ZaptikInstanceThrottles", "ZaptikWorkStandsStill"),
                ),
                lines(
                    "Requests by endpoint",
                    "Rows by the Table API, counts by the Aggregate API, tokens.",
                    ("sum by (endpoint) (rate(zaptik_requests_total[$__rate_interval]))", "{{endpoint}}"),
                    unit="reqps",
                ),
                quantiles(
                    "Request duration",
                    "One request, all in all.",
                    "zaptik_request_duration_seconds",
                    by="endpoint",
                ),
                lines(
                    "Breakers",
                    "Instances by the state of their breaker.",
                    ('max by (state) (zaptik_breakers{state!="closed"})', "{{state}}"),
                    alerts=_AWAY,
                ),
                lines(
                    "Breakers that opened",
                    "Within the hour before, by what the instance did.",
                    ("sum by (code) (increase(zaptik_breaker_opened_total[1h]))", "{{code}}"),
                    alerts=_AWAY,
                ),
            ),
        ),
        Row(
            "Throttling",
            (
                lines(
                    "Time waited",
                    "Seconds in each second, all workers together, that instances asked us to wait.",
                    ("sum(rate(zaptik_throttle_wait_seconds_total[$__rate_interval]))", "waited"),
                    alerts=("ZaptikInstanceThrottles",),
                ),
                quantiles(
                    "Requests at once",
                    "How many an instance is asked, each time that this changes: it falls where one throttles.",
                    "zaptik_concurrency_limit",
                    unit="short",
                ),
            ),
        ),
    ),
)
