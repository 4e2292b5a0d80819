"""Tenancy and security: tenants, credentials, keys, and whatever no other dashboard shows."""

from __future__ import annotations

from ops.dashboards.panel import Dashboard, Row, lines, stat

SECURITY = Dashboard(
    name="security",
    title="Zaptik: Tenancy and security",
    meaning="Tenants, credentials and keys; and each figure that stands on no other dashboard.",
    rows=(
        Row(
            "Tenants and credentials",
            (
                lines(
                    "Tenants by state",
                    "Of the whole deployment.",
                    ("max by (state) (zaptik_tenants)", "{{state}}"),
                    alerts=("ZaptikTenantsPaused",),
                ),
                lines(
                    "Tenants paused by a refusal",
                    "Within the hour before, by the failure's code.",
                    ("sum by (reason) (increase(zaptik_tenant_pauses_total[1h]))", "{{reason}}"),
                    alerts=("ZaptikCredentialsRefused", "ZaptikCredentialsRefusedWidely"),
                ),
                lines(
                    "Requests for a token",
                    "Within the hour before.",
                    ("sum by (outcome) (increase(zaptik_token_requests_total[1h]))", "{{outcome}}"),
                    alerts=("ZaptikCredentialsRefused",),
                ),
            ),
        ),
        Row(
            "Keys",
            (
                stat(
                    "Keys in use",
                    "max(zaptik_keys_in_use)",
                    "More than one while a rotation is not over.",
                    alerts=("ZaptikKeyRotationUnfinished",),
                    warn=2,
                ),
                stat(
                    "Age of the oldest key in use",
                    "max(zaptik_oldest_key_age_seconds)",
                    "For how long it has been wrapping data keys.",
                    unit="s",
                    alerts=("ZaptikKeyOld",),
                    warn=365 * 86_400,
                    alarm=400 * 86_400,
                ),
                lines(
                    "Keys and seals that failed",
                    "Within the hour before: a key that is missing, a seal that does not open, a keyring unread.",
                    (
                        'sum by (code) (increase(zaptik_runs_total{code=~"key_.*|seal_broken"}[1h])) > 0',
                        "{{code}}",
                    ),
                    ("sum(increase(zaptik_keyring_failures_total[1h]))", "keyring unreadable"),
                    alerts=("ZaptikKeyMissing", "ZaptikSealBroken", "ZaptikKeyringUnreadable"),
                ),
            ),
        ),
        Row(
            "Certificates",
            (
                lines(
                    "Certificates: time left",
                    "Of PostgreSQL's and Redis's own, as schedulers saw them within the hour before.",
                    ("min by (peer) (zaptik_certificate_expiry_timestamp_seconds) - time()", "{{peer}}"),
                    unit="s",
                    alerts=("ZaptikCertificateExpires", "ZaptikCertificateExpiresSoon"),
                ),
            ),
        ),
        Row(
            "Leaving",
            (
                lines(
                    "Tenants that leave",
                    "By how near the date is by which each must be deleted: near is three days, ready a week.",
                    ("max by (standing) (zaptik_offboardings)", "{{standing}}"),
                    alerts=("ZaptikOffboardingDue", "ZaptikOffboardingOverdue"),
                ),
                lines(
                    "Retention overdue",
                    "For how long something that is older than is kept should have gone and has not.",
                    ("max by (subject) (zaptik_retention_overdue_seconds)", "{{subject}}"),
                    unit="s",
                    alerts=("ZaptikRetentionOverdue",),
                ),
            ),
        ),
    ),
)
