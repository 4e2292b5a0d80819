"""Secrets in files: which files are fit to hold one, and the settings that are given as one.

Orchestrators mount secrets as files, and what stands in a file is not in the list of a process's variables. A
file that others can read is refused, as PostgreSQL refuses such a key. No message repeats what a file holds.
"""

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from jobs.errors import InvalidSetting

SUFFIX: Final = "_FILE"
MAX_VALUE_BYTES: Final = 64 * 1024
_ROOT: Final = 0
_OPEN: Final = stat.S_IRWXG | stat.S_IRWXO
_OPEN_IF_MOUNTED: Final = _OPEN & ~stat.S_IRGRP


def describe_exposure(status: os.stat_result, *, user: int) -> str | None:
    """Say why a file is no place for a secret of a process of this user; None where it is one.

    Root's file may be read by its group where we are not root: so Kubernetes mounts a Secret for such a process
    (`fsGroup`), and so PostgreSQL takes the file of a key (`ssl_key_file`).
    """
    if stat.S_ISDIR(status.st_mode):
        return "is a folder: name the file in it"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    is_mounted = status.st_uid == _ROOT != user
    if status.st_mode & (_OPEN_IF_MOUNTED if is_mounted else _OPEN):
        return "is open to others than its owner: run `chmod 600 FILE`"
    if status.st_uid not in {user, _ROOT}:
        return (
            f"belongs to user {status.st_uid}, who could replace it, and not to user {user} of this process: run "
            f"as its owner, or `chown {user} FILE`"
        )
    return None


def read_filed_values(variables: Mapping[str, str], *, filed: Collection[str]) -> dict[str, str]:
    """Give the variables with each `NAME_FILE`, NAME being among `filed`, replaced by NAME with its file's text.

    One line break at the end is not part of the text. `InvalidSetting` names every variable that is set both
    ways, and every file that cannot be read, is empty, or is open to others.
    """
    file_names = {f"{name}{SUFFIX}": name for name in filed}
    values = {name: text for name, text in variables.items() if name not in file_names}
    complaints = []
    for file_name, name in file_names.items():
        file = variables.get(file_name, "").strip()
        if not file:
            continue
        if values.get(name, "").strip():
            complaints.append(f"set one of {name} and {file_name}, not both")
            continue
        try:
            values[name] = _read_value(Path(file))
        except InvalidSetting as refused:
            complaints.append(f"{file_name}: the file {file} {refused.message}")
    if complaints:
        raise InvalidSetting("; ".join(complaints))
    return values


def _read_value(file: Path) -> str:
    try:
        # Not blocking: a pipe in the file's place must not hang the process at its start.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # Asked of the open file and not of its name, which may change between the two.
            exposed = describe_exposure(os.fstat(descriptor), user=os.geteuid())
            content = b"" if exposed else _read_some(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InvalidSetting(f"cannot be read: {error.strerror}") from None
    if exposed:
        raise InvalidSetting(exposed.replace("FILE", str(file)))
    text = content.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if len(content) > MAX_VALUE_BYTES or not text.strip():
        raise InvalidSetting("is empty, or too long to be the value")
    return text


def _read_some(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as opened:
        return opened.read(MAX_VALUE_BYTES + 1)
