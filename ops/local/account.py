"""The account servers run under, and private folders that account can reach.

PostgreSQL refuses to run as root. When root starts it, it becomes `nobody`, and everything it needs must lie
where `nobody` can go: the checkout, its environment, even TMPDIR may be under a home of mode 700.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops.local.failure import StepFailure


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group to become before a program starts."""

    uid: int
    gid: int


def find_unprivileged_account() -> Account | None:
    """Give the account a server must become, or None where we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StepFailure("choosing an account", "we are root and there is no user `nobody`") from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def make_private_folder(prefix: str, *, account: Account | None = None) -> Path:
    """Make a new folder that only we can list; `account`, if given, can pass through it to what it may use.

    Passing through is granted to the account's group, so the folder itself stays ours: what we write beside
    the server's own data (logs, binaries) cannot be replaced by it.
    """
    parent = None if account is None else _find_reachable_parent()
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    if account is not None:
        os.chown(folder, 0, account.gid)
        folder.chmod(0o710)
    return folder


def _find_reachable_parent() -> Path:
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")]  # noqa: S108
    for candidate in candidates:
        if candidate.is_dir() and _is_reachable(candidate.resolve()):
            return candidate.resolve()
    listed = ", ".join(str(candidate) for candidate in candidates)
    raise StepFailure("making a folder", f"no other account may enter and run programs in any of {listed}")


def _is_reachable(folder: Path) -> bool:
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents))
