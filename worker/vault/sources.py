"""Where a keyring comes from: a file, a variable, or what a command prints; exactly one of the three.

A further place needs a class with what `KeyringSource` names, and a line in `find_source`.
"""

import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, Protocol

from jobs.errors import KeyMissing
from worker.settings import Settings, variable_of
from worker.vault.key_command import ask_key_command
from worker.vault.keyring import Keyring, parse_keyring
from worker.vault.keyring_file import MAX_KEYRING_BYTES, read_keyring_file

_ASK_AGAIN_SECONDS: Final = 300.0  # a key service is not asked more often for nothing


class KeyringSource(Protocol):
    """One place that a keyring is read from."""

    @property
    def name(self) -> str:
        """What people know it by: a path or a variable, never a key."""
        ...

    @property
    def file(self) -> Path | None:
        """The file that commands may change; None where a person must put the keyring in its place."""
        ...

    def read(self) -> Keyring:
        """Read the keyring, whole; `KeyMissing` with what to do where it gives none."""
        ...

    def stamp(self) -> object:
        """Give what is another when reading again may give another keyring."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that its owner alone can read."""

    file: Path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.file)

    def read(self) -> Keyring:
        """Read the file."""
        return read_keyring_file(self.file)

    def stamp(self) -> object:
        """Give which file it is, when it was written and who may read it; a change is another file in its place."""
        try:
            status = self.file.stat()
        except OSError:
            return None
        written = status.st_mtime_ns, status.st_size
        return status.st_dev, status.st_ino, *written, status.st_mode, status.st_uid


@dataclass(frozen=True, slots=True)
class VariableSource:
    """The text of a variable, which stays what it was for as long as the process lives."""

    text: str = field(repr=False)
    name: str = variable_of("keyring")
    file: None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled")

    def read(self) -> Keyring:
        """Parse the text."""
        return parse_keyring(self.text, where=self.name)

    def stamp(self) -> object:
        """Give what never changes."""
        return None


@dataclass(frozen=True, slots=True)
class CommandSource:
    """What a command prints: a key service's client, say."""

    words: tuple[str, ...] = field(repr=False)
    name: str = variable_of("keyring_command")
    file: None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("what gives a keyring is not pickled")

    def read(self) -> Keyring:
        """Run the command and parse what it printed."""
        text = ask_key_command(self.words, where=self.name, max_bytes=MAX_KEYRING_BYTES)
        return parse_keyring(text, where=f"what {self.name} printed")

    def stamp(self) -> object:
        """Give which few minutes these are."""
        return time.monotonic() // _ASK_AGAIN_SECONDS


def find_source(settings: Settings) -> KeyringSource:
    """Give the one source that the settings name; `KeyMissing` where they name none."""
    if settings.keyring_file is not None:
        return FileSource(settings.keyring_file)
    if settings.keyring is not None:
        return VariableSource(settings.keyring.get_secret_value())
    if settings.keyring_command is not None:
        return CommandSource(tuple(shlex.split(settings.keyring_command.get_secret_value())))
    raise KeyMissing(
        f"no keyring: set {variable_of('keyring_file')} to the file that `zaptik keys generate --into FILE` "
        f"makes, {variable_of('keyring')} to its text, or {variable_of('keyring_command')} to what prints it"
    )


def read_keyring(settings: Settings) -> Keyring:
    """Read the keyring from where the settings say; `KeyMissing` says what to do."""
    return find_source(settings).read()
