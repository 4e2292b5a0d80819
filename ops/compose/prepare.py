"""`python -m ops.compose.prepare FOLDER`: everything secret that the stack of docker-compose.yml needs, made once.

Each service has a folder of its own and sees no other's. Files are root's and readable by the service's group, so
that no service can change what it was given. What is there stays; certificates that soon end are made anew.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ops.local.certificates import Authority
from worker.vault import generate_audit_key, generate_keyring

MOUNTED: Final = "/run/zaptik"
VALID: Final = dt.timedelta(days=398)
LEAST_LEFT: Final = dt.timedelta(days=30)
SERVERS: Final = ("postgres", "redis", "simulator")
# The groups of the images: postgres and redis have 999, ours 10001, Grafana 0.
GROUPS: Final = {
    "postgres": 999, "redis": 999, "app": 10001, "audit": 10001, "admin": 10001, "simulator": 10001, "grafana": 0,
}  # fmt: skip
DATABASE_URL: Final = (
    "postgresql://{user}:{password}@postgres:5432/zaptik?sslmode=verify-full&sslrootcert={mounted}/app/ca.pem"
)
REDIS_CONFIGURATION: Final = """\
port 0
tls-port 6379
tls-cert-file {mounted}/redis/server.pem
tls-key-file {mounted}/redis/server.key
tls-ca-cert-file {mounted}/redis/ca.pem
tls-auth-clients no
requirepass {password}
dir /data
appendonly yes
save ""
maxmemory 128mb
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True)
class Passwords:
    """What the services tell each other."""

    superuser: str
    app: str
    redis: str
    client_secret: str
    grafana: str


def prepare(root: Path, *, now: dt.datetime, groups: Mapping[str, int] = GROUPS) -> list[str]:
    """Make what is missing in the folders of `root`, which are there, and say what was made.

    One that stopped half-way is begun anew: the keyring is made last, and what it seals comes later.
    """
    made = []
    for name in groups:
        (root / name).chmod(0o700)
    if not (root / "app" / "keyring.json").exists():
        _write_passwords(root, Passwords(*(secrets.token_urlsafe(24) for _ in range(5))))
        generate_keyring(root / "app" / "keyring.json")
        made += ["passwords", "a keyring"]
    if not (root / "audit" / "key.json").exists():
        generate_audit_key(root / "audit" / "key.json")
        made.append("an audit key")
    if _ends_soon(root / "app" / "ca.pem", now=now):
        _write_certificates(root, now=now)
        made.append("certificates")
    for name, group in groups.items():
        _give(root / name, group=group)
    return made


def _write_passwords(root: Path, passwords: Passwords) -> None:
    def url(user: str, password: str) -> str:
        return DATABASE_URL.format(user=user, password=password, mounted=MOUNTED)

    texts = {
        "postgres/password": passwords.superuser,
        "admin/database-url": url("postgres", passwords.superuser),
        "app/database-url": url("zaptik_app", passwords.app),
        "app/redis-url": f"rediss://:{passwords.redis}@redis:6379/0",
        "redis/password": passwords.redis,
        "redis/redis.conf": REDIS_CONFIGURATION.format(password=passwords.redis, mounted=MOUNTED),
        "admin/client-secret": passwords.client_secret,
        "simulator/client-secret": passwords.client_secret,
        "grafana/password": passwords.grafana,
    }
    for name, text in texts.items():
        _write(root / name, text)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _write_certificates(root: Path, *, now: dt.datetime) -> None:
    """Write a new authority and its servers' certificates; the one before is trusted until its end.

    For a server that runs goes on with the certificate it was started with.
    """
    trusted = _read_authorities(root / "app" / "ca.pem")
    authority = Authority(valid=VALID)
    for name in SERVERS:
        for old in (*(root / name).glob("*.pem"), *(root / name).glob("*.key")):
            old.unlink()
        authority.write(root / name, hosts=[name])
    trusted = _read_authorities(root / SERVERS[0] / "ca.pem") + [
        one for one in trusted if one.not_valid_after_utc > now
    ]
    text = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in trusted)
    for name in ("app", *SERVERS):
        _write(root / name / "ca.pem", text)


def _read_authorities(path: Path) -> list[x509.Certificate]:
    """Read what is trusted, the newest first."""
    return x509.load_pem_x509_certificates(path.read_bytes()) if path.exists() else []


def _ends_soon(path: Path, *, now: dt.datetime) -> bool:
    authorities = _read_authorities(path)
    return not authorities or authorities[0].not_valid_after_utc - now < LEAST_LEFT


def _give(folder: Path, *, group: int) -> None:
    """Let a group read a folder and what is in it, and nobody write."""
    for path in (*folder.iterdir(), folder):
        os.chown(path, -1, group)
        path.chmod(0o550 if path.is_dir() else 0o440)


def main() -> int:
    """Prepare the folder that is named."""
    parser = argparse.ArgumentParser(prog="python -m ops.compose.prepare", description=__doc__)
    parser.add_argument("folder", type=Path, help=f"with the folders {', '.join(GROUPS)}")
    made = prepare(parser.parse_args().folder, now=dt.datetime.now(dt.UTC))
    print(f"made {', '.join(made)}" if made else "everything is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
