"""Every place where the stack writes something down, read for a search: database, Redis, metrics, files.

Each reader gives the name of a place and the bytes that stand there.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import redis

from ops.local.stack import DATABASE, Stack

Places = Iterator[tuple[str, bytes]]

_DUMP_SECONDS = 60
_ENOUGH = "enough was overheard"


def read_database(stack: Stack) -> Places:
    """Give a dump of every schema, as the superuser sees it, a place for each table."""
    server = stack.postgres
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", server.superuser, "-w"]
    dumped = subprocess.run(  # noqa: S603  the server's own program
        [server.binaries / "pg_dump", *where, "--no-owner", DATABASE],
        env={"PGPASSWORD": server.password},
        capture_output=True,
        timeout=_DUMP_SECONDS,
        check=True,
    ).stdout
    for part in dumped.split(b"\n--\n-- "):
        yield f"the dump, {part.partition(b';')[0].decode(errors='replace')[:80]}", part


def read_redis(stack: Stack) -> Places:
    """Give every key of every logical database with what it holds, of whichever type."""
    with redis.Redis.from_url(stack.valkey.url()) as first:
        numbers = [int(name.removeprefix("db")) for name in first.info("keyspace")]
    for number in numbers:
        with redis.Redis.from_url(stack.valkey.url(number)) as client:
            for key in client.scan_iter():
                kind = client.type(key).decode()
                yield f"Redis, {kind} {key!r}", key + b"\n" + _read_key(client, key, kind)


def _read_key(client: redis.Redis, key: bytes, kind: str) -> bytes:
    asked: Any = client
    held: Collection[bytes]
    match kind:
        case "string":
            held = [asked.get(key)]
        case "list":
            held = asked.lrange(key, 0, -1)
        case "set":
            held = asked.smembers(key)
        case "zset":
            held = asked.zrange(key, 0, -1)
        case "hash":
            held = [part for pair in asked.hgetall(key).items() for part in pair]
        case "stream":
            held = [part for _, entry in asked.xrange(key) for pair in entry.items() for part in pair]
        case _:
            raise AssertionError(f"no reader for a {kind}")
    return b"\n".join(held)


@contextmanager
def overhearing(stack: Stack) -> Iterator[list[str]]:
    """Give every command that Redis is told from now on: a message that was taken is in no key any more."""
    told: list[str] = []
    with redis.Redis.from_url(stack.valkey.url()) as client, client.monitor() as listening:

        def listen() -> None:
            for command in listening.listen():
                told.append(command["command"])
                if _ENOUGH in told[-1]:
                    return

        listener = threading.Thread(target=listen, name="overhearing")
        listener.start()
        try:
            yield told
        finally:
            with redis.Redis.from_url(stack.valkey.url()) as other:
                other.echo(_ENOUGH)
            listener.join()


def read_metrics(ports: Collection[int]) -> Places:
    """Give what processes show to Prometheus, and to whoever asks whether they live."""
    for port in ports:
        for path in ("metrics", "livez", "readyz"):
            with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", f"/{path}")
                yield f"/{path} on port {port}", connection.getresponse().read()


def read_files(*folders: Path, apart_from: Collection[Path] = ()) -> Places:
    """Give every file under folders; one that is another's copy, as most of an empty database is, once."""
    seen: set[bytes] = set()
    for path in sorted(file for folder in folders for file in folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or any(path.is_relative_to(left) for left in apart_from):
            continue
        content = path.read_bytes()
        mark = hashlib.sha256(content).digest()
        if mark not in seen:
            seen.add(mark)
            yield str(path), content


def write_all_down(stack: Stack) -> None:
    """Have both servers write to their files what they hold in memory."""
    with psycopg.connect(stack.admin_database_url(DATABASE), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    with redis.Redis.from_url(stack.valkey.url()) as client:
        client.config_set("rdbcompression", "no")
        client.save()
