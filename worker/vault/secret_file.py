"""Files of secrets: made for their owner alone, read only where they are still that.

Nothing here ever overwrites a file; what was made is on the disk before anybody is told of it.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from jobs.errors import InvalidSetting, KeyMissing
from worker.settings.secret_files import describe_exposure

MAX_SECRET_BYTES: Final = 1 << 20


@contextlib.contextmanager
def create_secret(path: Path) -> Iterator[TextIO]:
    """Create a file for its owner alone; on the disk when the block ends, and gone if it fails.

    `FileExistsError` where the name is taken, even by a dead link; `InvalidSetting` where it cannot be.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be created: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read_secret(path: Path, *, what: str, made_by: str) -> str:
    """Read a file of a secret; `KeyMissing`, which says `what` it is and what makes one, where it is not ours alone."""
    try:
        # Not blocking: a pipe in the file's place must not hang the process at its start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyMissing(
            f"the {what} {path} cannot be read: {error.strerror}; `{made_by} {path}` makes one"
        ) from None
    try:
        # Asked of the open file and not of its name, which may change between the two.
        if exposed := describe_exposure(os.fstat(descriptor), user=os.geteuid()):
            raise KeyMissing(f"the {what} {path} {exposed}".replace("FILE", str(path)))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_SECRET_BYTES).decode(errors="replace")
    finally:
        os.close(descriptor)


def settle_folder(path: Path) -> None:
    """Bring a file's name to the disk too: after a loss of power the file must not be the one before."""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
