"""What the stack of docker-compose.yml is given: made once, each service's apart, closed to all others."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from ops.compose.prepare import GROUPS, LEAST_LEFT, MOUNTED, SERVERS, VALID, prepare
from worker.settings import read_settings
from worker.settings.secret_files import describe_exposure
from worker.vault import read_audit_key
from worker.vault.keyring import parse_keyring

NOW = dt.datetime.now(dt.UTC)
OUR_GROUPS = dict.fromkeys(GROUPS, os.getgid())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in GROUPS:
        (tmp_path / name).mkdir()
    assert prepare(tmp_path, now=NOW, groups=OUR_GROUPS) == [
        "passwords",
        "a keyring",
        "an audit key",
        "certificates",
    ]
    return tmp_path


def read_all(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_there_stays(root: Path) -> None:
    before = read_all(root)
    assert prepare(root, now=NOW, groups=OUR_GROUPS) == []
    assert read_all(root) == before


def test_a_preparation_that_stopped_half_way_is_begun_anew(root: Path) -> None:
    (root / "app").chmod(0o700)
    (root / "app" / "keyring.json").unlink()
    assert prepare(root, now=NOW, groups=OUR_GROUPS) == ["passwords", "a keyring"]


def test_certificates_that_soon_end_are_made_anew_and_nothing_else(root: Path) -> None:
    before = read_all(root)
    assert prepare(root, now=NOW + VALID - LEAST_LEFT + dt.timedelta(hours=1), groups=OUR_GROUPS) == [
        "certificates"
    ]
    after = read_all(root)
    assert {name for name in before if after[name] != before[name]} == {
        "app/ca.pem", *(f"{name}/{file}" for name in SERVERS for file in ("ca.pem", "server.pem", "server.key")),
    }  # fmt: skip


def test_a_server_that_runs_with_its_old_certificate_is_trusted_until_that_ends(root: Path) -> None:
    """The stack is brought up while they run: what was made anew must not break with what they were started with."""
    servers = [_load_server(root / "postgres")]
    later = NOW + VALID - LEAST_LEFT + dt.timedelta(hours=1)
    assert prepare(root, now=later, groups=OUR_GROUPS) == ["certificates"]
    servers.append(_load_server(root / "postgres"))
    for place in ("app", *SERVERS):
        for server in servers:
            _shake_hands(root / place / "ca.pem", server)
    assert prepare(root, now=later + VALID, groups=OUR_GROUPS) == ["certificates"]
    assert len(x509.load_pem_x509_certificates((root / "app" / "ca.pem").read_bytes())) == 1


def _load_server(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def _shake_hands(ca_file: Path, server: ssl.SSLContext) -> None:
    """Let a client that trusts a file meet a server; raises where it is not trusted."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=str(ca_file))
    client = trusting.wrap_bio(to_client, to_server, server_hostname="postgres")
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, serving, client):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert client.getpeercert()


def test_each_server_has_a_key_of_its_own_and_its_name_in_a_certificate_that_the_app_trusts(
    root: Path,
) -> None:
    assert len({(root / name / "server.key").read_bytes() for name in SERVERS}) == len(SERVERS)
    authority = x509.load_pem_x509_certificate((root / "app" / "ca.pem").read_bytes())
    for name in SERVERS:
        certificate = x509.load_pem_x509_certificate((root / name / "server.pem").read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert name in names.get_values_for_type(x509.DNSName)
        ssl.create_default_context().load_cert_chain(root / name / "server.pem", root / name / "server.key")


def test_every_file_is_fit_to_hold_a_secret_and_changed_by_nobody(root: Path) -> None:
    for path in root.rglob("*"):
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == (0o550 if path.is_dir() else 0o440)
        if path.is_file():
            of_root = os.stat_result([status.st_mode, 1, 1, 1, 0, 10001, 1, 1, 1, 1])
            assert describe_exposure(of_root, user=10001) is None


def test_no_service_is_given_anothers_secret(root: Path) -> None:
    superuser = (root / "postgres" / "password").read_text()
    assert {name for name, content in read_all(root).items() if superuser.encode() in content} == {
        "postgres/password", "admin/database-url",
    }  # fmt: skip
    assert not any("server.key" in name for name in read_all(root) if name.startswith(("app/", "admin/")))


def test_what_the_app_is_given_are_settings_that_are_taken(root: Path) -> None:
    settings = read_settings(
        {
            "ZAPTIK_DATABASE_URL": (root / "app" / "database-url").read_text(),
            "ZAPTIK_ADMIN_DATABASE_URL": (root / "admin" / "database-url").read_text(),
            "ZAPTIK_REDIS_URL": (root / "app" / "redis-url").read_text(),
        }
    )
    assert f"sslrootcert={MOUNTED}/app/ca.pem" in settings.require_database_url()
    assert "sslmode=verify-full" in settings.require_admin_database_url()
    assert parse_keyring((root / "app" / "keyring.json").read_text(), where="the file").primary


def test_the_key_that_seals_the_trail_is_the_schedulers_alone(root: Path) -> None:
    settings = read_settings({"ZAPTIK_AUDIT_KEY": (root / "audit" / "key.json").read_text()})
    assert read_audit_key(settings) is not None
    assert [name for name in read_all(root) if name.startswith("audit/")] == ["audit/key.json"]


def test_redis_loses_nothing_it_was_given_and_speaks_tls_alone(root: Path) -> None:
    lines = (root / "redis" / "redis.conf").read_text().splitlines()
    assert {"port 0", "tls-port 6379", "appendonly yes", "maxmemory-policy noeviction"} <= set(lines)
    assert f"requirepass {(root / 'redis' / 'password').read_text()}" in lines
