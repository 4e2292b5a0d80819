"""The embedded PostgreSQL: ours alone, private, and gone without a trace."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from ops.local.failure import StepFailure
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.state import read_start_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as started:
        yield started


def read_one(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.admin_url()) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_the_superuser_gets_in_with_the_password_and_the_settings_hold(server: EmbeddedPostgres) -> None:
    assert read_one(server, "SELECT current_user") == server.superuser
    assert read_one(server, "SHOW fsync") == "off"
    assert read_one(server, "SHOW synchronous_commit") == "on"
    assert read_one(server, "SHOW server_encoding") == "UTF8"


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres, password: str) -> None:
    wrong = server.admin_url().replace(server.password, password)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong, passfile="/nonexistent").close()


def test_every_entry_of_hba_wants_scram(server: EmbeddedPostgres) -> None:
    assert read_one(server, "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules") == [
        "scram-sha-256"
    ]


def test_it_listens_on_loopback_alone_and_has_no_unix_socket(server: EmbeddedPostgres) -> None:
    assert read_one(server, "SHOW listen_addresses") == "127.0.0.1"
    assert read_one(server, "SHOW unix_socket_directories") == ""


def test_it_never_runs_as_root_and_its_data_is_private(server: EmbeddedPostgres) -> None:
    uid = Path(f"/proc/{server.child.pid}").stat().st_uid
    assert uid != 0
    found = server.data_folder.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (uid, 0o700)
    assert server.folder.stat().st_mode & 0o067 == 0
    assert not (server.folder / "password").exists()


def test_a_window_shows_no_password(server: EmbeddedPostgres) -> None:
    assert server.password not in repr(server)
    assert server.password not in Path(f"/proc/{server.child.pid}/cmdline").read_text()


def test_a_database_is_created_with_the_wheels_own_program(server: EmbeddedPostgres) -> None:
    server.create_database("made here")
    assert read_one(server, "SELECT count(*) FROM pg_database WHERE datname = 'made here'") == 1
    with pytest.raises(StepFailure, match="already exists"):
        server.create_database("made here")


def test_after_stop_nothing_is_left() -> None:
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server:
        folder, pid, port = server.folder, server.child.pid, server.port
    assert not folder.exists()
    assert read_start_ticks(pid) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    server.stop()  # a second time is fine


def test_variables_meant_for_another_server_have_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {
        "PGHOST": "db.example",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGDATA": "/nonexistent",
        "PGUSER": "stranger",
        "PGDATABASE": "elsewhere",
        "PGSERVICE": "nowhere",
        "PGOPTIONS": "-c no.such=thing -c port=1",
        "PGSSLMODE": "verify-full",
        "LC_ALL": "no_SUCH.locale",
    }
    with monkeypatch.context() as patch:
        for name, value in foreign.items():
            patch.setenv(name, value)
        server = EmbeddedPostgres(settings=WITHOUT_DURABILITY)
        server.start()
        server.create_database("ours")
    try:
        assert read_one(server, "SELECT count(*) FROM pg_database WHERE datname = 'ours'") == 1
        assert read_one(server, "SHOW port") == str(server.port)
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    server = EmbeddedPostgres(settings={"shared_buffers": "plenty"})
    with pytest.raises(StepFailure, match="PostgreSQL: ended at once") as caught:
        server.start()
    assert 'invalid value for parameter "shared_buffers": "plenty"' in str(caught.value)
    assert "stopped" in repr(server)


def test_after_a_crash_the_same_data_is_served_on_the_same_port() -> None:
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.admin_url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        port = server.port
        server.kill()
        server.restart()
        assert server.port == port
        assert read_one(server, "SELECT one FROM kept") == 1


def test_two_servers_stand_side_by_side(server: EmbeddedPostgres) -> None:
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as other:
        assert other.port != server.port
        assert read_one(other, "SHOW data_directory") != read_one(server, "SHOW data_directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a folder that others reach")
def test_root_finds_a_reachable_folder_although_tmpdir_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server:
        assert tmp_path not in server.folder.parents
        assert read_one(server, "SELECT 1") == 1
