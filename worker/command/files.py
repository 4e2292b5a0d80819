"""Where a command writes what is too large to print: a file that is whole or is not there, or standard output."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jobs.errors import FileNotWritten


@contextmanager
def opened(file: Path | None) -> Iterator[IO[bytes]]:
    """Open standard output, or a file for its owner alone that takes its name only when it is whole.

    What is no regular file, a pipe say, is written to as it is.
    """
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if file.exists() and not file.is_file():
            with file.open("wb") as out:
                yield out
            return
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}.", delete=False) as beside:
            try:
                yield beside
                beside.flush()
                Path(beside.name).replace(file)
            except BaseException:
                Path(beside.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise FileNotWritten(f"{file} cannot be written: {error.strerror}.") from None
