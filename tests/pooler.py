"""PgBouncer in transaction mode before the tests' server, as a deployment may have it.

Each transaction of a client may run on another server connection, and each server connection serves whoever comes
next: what a transaction leaves behind, the next client has.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from ops.local.account import find_unprivileged_account, make_private_folder
from ops.local.ports import start_on_port
from ops.local.processes import Child, build_minimal_environment

CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
server_reset_query =
"""


@contextmanager
def open_pooler(program: Path, app_url: str, *, pool_size: int) -> Iterator[str]:
    """Have PgBouncer stand before the server of `app_url`, and give the address by which it is reached instead."""
    parts = urlsplit(app_url)
    account = find_unprivileged_account()
    folder = make_private_folder("zaptik-pgbouncer-", account=account)
    users = folder / "users.txt"
    users.write_text(f'"{parts.username}" "{parts.password}"\n')

    def build(port: int) -> Child:
        text = CONFIGURATION.format(server_port=parts.port, port=port, folder=folder, pool_size=pool_size)
        (folder / "pgbouncer.ini").write_text(text)
        for path in folder.iterdir():
            path.chmod(0o644)
        return Child(
            "PgBouncer",
            [program, folder / "pgbouncer.ini"],
            log_file=folder / "pgbouncer.log",
            environment=build_minimal_environment(),
            folder=folder,
            account=account,
        )

    try:
        child, port = start_on_port(build, is_ready=lambda _, port: answers(with_port(app_url, port)))
        try:
            yield with_port(app_url, port)
        finally:
            child.stop()
    finally:
        shutil.rmtree(folder)


def answers(url: str) -> bool:
    """Say whether a server lets us in there."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def with_port(url: str, port: int) -> str:
    """Give the same address at another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))
