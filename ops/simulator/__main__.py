"""`python -m ops.simulator`: one simulated instance, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ops.simulator.instance import Instance
from ops.simulator.made import made_store
from ops.simulator.oauth import OAuth
from ops.simulator.records import records_store
from ops.simulator.server import Listener, TLSFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.simulator.store import Store


def build_parser() -> argparse.ArgumentParser:
    """Say what can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m ops.simulator", description=__doc__)
    listening = parser.add_argument_group("listening")
    listening.add_argument("--host", default="127.0.0.1")
    listening.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    listening.add_argument("--cert", type=Path, help="TLS certificate; without it plain http is served")
    listening.add_argument("--key", type=Path, help="the certificate's private key")
    listening.add_argument(
        "--instance-url", default="", help="what links name instead of the address listened on"
    )
    listening.add_argument("--latency-ms", type=float, default=0, help="added to each API request")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--records", type=Path, help="a folder of TABLE.jsonl, served instead of made rows")
    rows.add_argument("--seed", type=int, default=1, help="of made rows, and of the order of unordered pages")
    rows.add_argument("--groups", type=int, default=200, help="how many groups to make")
    rows.add_argument("--items", type=int, default=300, help="how many catalogue items to make")
    access = parser.add_argument_group("access")
    access.add_argument("--client-id", default="simulator-client")
    access.add_argument(
        "--client-secret-stdin", action="store_true", help="else SIMULATOR_CLIENT_SECRET, else random"
    )
    access.add_argument("--token-seconds", type=float, default=1800)
    access.add_argument("--control-token", default=os.environ.get("SIMULATOR_CONTROL_TOKEN", ""),
                        help="enables the control API (or SIMULATOR_CONTROL_TOKEN)")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; 1 when nothing can be served, 2 when the call must change."""
    parser = build_parser()
    asked = parser.parse_args(arguments)
    if bool(asked.cert) != bool(asked.key):
        parser.error("--cert and --key belong together")
    try:
        store = _store(asked)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    tls = (asked.cert, asked.key) if asked.cert else None
    try:
        asyncio.run(_serve(_instance(asked, store), asked.host, asked.port, tls))
    except OSError as error:
        print(f"cannot serve on {asked.host}, port {asked.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _store(asked: argparse.Namespace) -> Store:
    if asked.records:
        return records_store(asked.records, seed=asked.seed)
    return made_store(seed=asked.seed, groups=asked.groups, items=asked.items)


def _instance(asked: argparse.Namespace, store: Store) -> Instance:
    oauth = OAuth(
        client_id=asked.client_id, client_secret=_client_secret(asked), token_seconds=asked.token_seconds
    )
    return Instance(
        store,
        oauth,
        base_url=asked.instance_url,
        control_token=asked.control_token,
        latency_seconds=asked.latency_ms / 1_000,
    )


def _client_secret(asked: argparse.Namespace) -> str:
    """Read the secret; one that nobody was told lets nobody in."""
    if asked.client_secret_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    given = os.environ.get("SIMULATOR_CLIENT_SECRET")
    if not given:
        print("no client secret was given: no client will get a token", file=sys.stderr)
    return given or secrets.token_urlsafe(32)


async def _serve(instance: Instance, host: str, port: int, tls: TLSFiles | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if tls is None:
        print("no --cert: plain http", file=sys.stderr)
    async with Listener(instance, host=host, port=port, tls=tls) as listener:
        event = {"event": "simulator.listening", "url": listener.url, "port": listener.port}
        print(json.dumps(event), flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
