"""After a full run nothing that may not be read is anywhere: database, Redis, logs, metrics, exports.

The instances hold canaries in every column and table that is never read: people, scripts, default values, secret
properties, requests. Their OAuth secrets and the deployment's keys are looked for as well.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator

import psycopg
import redis

from ops.local.stack import DATABASE
from tests.e2e.conftest import Deployed

_TABLES = """SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'm') AND (n.nspname = 'control' OR n.nspname LIKE 'tenant_%') ORDER BY 1"""


def read_database(deployed: Deployed) -> Iterator[tuple[str, str]]:
    """Give every row of every table of ours, as the superuser sees it."""
    with psycopg.connect(deployed.stack.admin_database_url(DATABASE)) as connection:
        names = [row[0] for row in connection.execute(_TABLES)]
        assert len(names) > 60, names
        for name in names:
            for row in connection.execute(f"SELECT t::text FROM {name} t".encode()):  # noqa: S608
                yield name, row[0]


def read_redis(deployed: Deployed) -> Iterator[tuple[str, str]]:
    """Give every key of every database, with what it holds."""
    url = deployed.stack.settings()["ZAPTIK_REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            yield key.decode(errors="replace"), (client.dump(key) or b"").decode(errors="replace")


def read_files(deployed: Deployed) -> Iterator[tuple[str, str]]:
    """Give what every process wrote."""
    logs = sorted(path for path in deployed.stack.logs.rglob("*") if path.is_file())
    assert {"scheduler", "worker-1"} <= {path.stem for path in logs}, logs
    for path in logs:
        yield path.name, path.read_text(errors="replace")


def read_metrics(deployed: Deployed) -> Iterator[tuple[str, str]]:
    """Give what every process shows to Prometheus."""
    for name, port in deployed.stack.metrics_ports.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            yield f"metrics of {name}", answer.read().decode()


def spell(secret: str) -> set[str]:
    """Give a secret as it may be written down, and pieces of it."""
    plain = secret.encode()
    pieces = {secret[start : start + 12] for start in range(0, len(secret) - 12, 6)}
    forms = {base64.b64encode(plain).decode().rstrip("="), plain.hex(), urllib.parse.quote(secret, safe="")}
    return pieces | forms | {secret}


def test_after_a_full_run_no_canary_and_no_secret_is_anywhere(deployed: Deployed) -> None:
    for tenant in ("acme", "globex-prod"):
        deployed.sync(tenant, "--full")
    [person, *_] = deployed.stack.instances["acme"].fetch_rows("sys_user")
    assert "CANARY" in str(person), "there is something to find"
    exported = deployed.call("graph", "export", "acme", "--format", "html").stdout
    secrets = {form for secret in deployed.stack.client_secrets.values() for form in spell(secret)}
    keyring = json.loads((deployed.stack.folder / "keyring.json").read_text())
    keys = {key for key in _texts(keyring) if len(key) > 40}
    assert keys, "the keyring's keys are looked for"
    looked_at = 0
    for read in (read_database, read_redis, read_files, read_metrics):
        for where, text in read(deployed):
            looked_at += 1
            assert "CANARY" not in text, where
            assert not [secret for secret in (*secrets, *keys) if secret in text], where
    assert "CANARY" not in exported
    assert looked_at > 3_000


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
