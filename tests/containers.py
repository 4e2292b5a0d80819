"""PostgreSQL and Redis in Docker, for the tests to run against the images that a deployment has.

Their ports must be on this machine's loopback: nothing there is encrypted, and our processes refuse that elsewhere.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.local.postgres import WITHOUT_DURABILITY

BACKEND_VARIABLE = "ZAPTIK_TEST_BACKEND"
POSTGRES_IMAGE_VARIABLE = "ZAPTIK_TEST_IMAGE"
REDIS_IMAGE_VARIABLE = "ZAPTIK_TEST_REDIS_IMAGE"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def are_wanted() -> bool:
    """Say whether the tests' servers are to be containers; ends the session where the variable is neither."""
    backend = os.environ.get(BACKEND_VARIABLE, "embedded")
    if backend not in {"embedded", "containers"}:
        pytest.exit(f"{BACKEND_VARIABLE} is {backend!r}: set it to embedded or containers", returncode=2)
    return backend == "containers"


@contextmanager
def open_postgres() -> Iterator[str]:
    """Start the image that a variable names and give the superuser's URL, in the database `postgres`."""
    image = os.environ.get(POSTGRES_IMAGE_VARIABLE, "postgres:18")
    with _started(
        "postgres",
        lambda room: room.PostgresContainer(
            image, username="postgres", dbname="postgres", driver=None
        ).with_command(["postgres", *(f"-c{name}={value}" for name, value in WITHOUT_DURABILITY.items())]),
    ) as container:
        yield str(container.get_connection_url())


@contextmanager
def open_redis() -> Iterator[str]:
    """Start the image that a variable names and give its URL, with a password."""
    image, password = os.environ.get(REDIS_IMAGE_VARIABLE, "redis:7"), secrets.token_urlsafe(24)
    with _started("redis", lambda room: room.RedisContainer(image, password=password)) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(6379)
        yield f"redis://:{password}@{host}:{port}/0"


@contextmanager
def _started(room: str, build: Callable[[Any], Any]) -> Iterator[Any]:
    try:  # imported only here: nobody else needs the package, nor Docker
        container = build(importlib.import_module(f"testcontainers.community.{room}"))
        container.start()
    except Exception as error:  # noqa: BLE001  the package, Docker and its daemon each fail in their own way
        pytest.exit(
            f"{BACKEND_VARIABLE}=containers: no container could be started ({type(error).__name__}: {error}). "
            "See that Docker answers and has the image (Ryuk's too, or set TESTCONTAINERS_RYUK_DISABLED=true), "
            "or unset the variable.",
            returncode=2,
        )
    try:
        host = container.get_container_host_ip()
        if host not in _LOOPBACK:
            pytest.exit(
                f"{BACKEND_VARIABLE}=containers: the container answers at {host}, and our processes refuse an "
                "unencrypted server that is not on loopback. Where Docker runs on this machine, set "
                "TESTCONTAINERS_CONNECTION_MODE=docker_host.",
                returncode=2,
            )
        yield container
    finally:
        container.stop()
