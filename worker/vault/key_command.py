"""Asking a program for the keyring: any key service's own client, or two lines of shell around it.

The words of the command go to the program as they are, without a shell. It gets our environment without our settings,
nothing to read, so much time, and may say so much; what it writes to standard error is told with whatever looks like
a key or a token left out.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from jobs.errors import KeyMissing

COMMAND_SECONDS: Final = 20.0
_OUR_PREFIX: Final = "ZAPTIK_"
_CHUNK_BYTES: Final = 1 << 16
_MAX_TOLD: Final = 300
_MAX_ERROR_BYTES: Final = 1 << 16
# Long runs of what base64, hex and tokens are made of: with a digit in them, or too long to be a word.
_SECRETIVE: Final = re.compile(r"(?=[A-Za-z0-9+/_=-]*[0-9])[A-Za-z0-9+/_=-]{12,}|[A-Za-z0-9+/_=-]{32,}")


def ask_key_command(
    words: Sequence[str], *, where: str, max_bytes: int, seconds: float = COMMAND_SECONDS
) -> str:
    """Run the command and give what it printed; `KeyMissing` names `where` it was set, never its words."""
    try:
        process = subprocess.Popen(  # noqa: S603  the operator's own words, and no shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_leave_out_ours(os.environ),
            start_new_session=True,  # what it starts itself ends with it
        )
    except OSError as error:
        raise KeyMissing(f"the program of {where} cannot be run: {error.strerror}") from None
    with process:
        try:
            printed, told, ended = _read_both(process, max_bytes=max_bytes, seconds=seconds)
        finally:
            _end(process)
    if ended == "slow":
        raise KeyMissing(f"{where} did not end within {seconds:g} s{_quote(told)}")
    if ended == "long":
        raise KeyMissing(f"{where} printed more than {max_bytes} bytes, which is no keyring{_quote(told)}")
    if process.returncode != 0:
        raise KeyMissing(f"{where} ended with exit code {process.returncode}{_quote(told)}")
    return printed.decode(errors="replace")


def leave_out_secrets(text: str) -> str:
    """Give the last line of a text for people: short, printable, and without what looks like a key or a token."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = "".join(char if char.isprintable() else " " for char in lines[-1]) if lines else ""
    return _SECRETIVE.sub("…", last)[:_MAX_TOLD]


def _quote(told: bytes) -> str:
    words = leave_out_secrets(told.decode(errors="replace"))
    return f": it said {words!a}" if words else ""


def _read_both(
    process: subprocess.Popen[bytes], *, max_bytes: int, seconds: float
) -> tuple[bytes, bytes, str]:
    """Read both of a program's outputs to their ends, or until it takes too long or says too much."""
    end = time.monotonic() + seconds
    printed, told = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe, into in ((process.stdout, printed), (process.stderr, told)):
            assert pipe is not None
            selector.register(pipe.fileno(), selectors.EVENT_READ, into)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                return b"", bytes(told), "slow"
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                key.data.extend(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
            # The end is kept: the last line says why it failed.
            del told[:-_MAX_ERROR_BYTES]
            if len(printed) > max_bytes:
                return b"", bytes(told), "long"
    try:
        process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return b"", bytes(told), "slow"
    return bytes(printed), bytes(told), ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it left running; no-op where all of it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _leave_out_ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(_OUR_PREFIX)}
