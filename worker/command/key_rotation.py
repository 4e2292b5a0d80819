"""One call of `keys rotate`: the steps that `jobs.rotation` plans, as far as they can be done now.

Where the keyring is a file that may be written, that is all of them. Where it is not, a step that changes the keyring
gives it to a person to put in its place. Nothing is wrapped by a key that a running worker lacks.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.errors import InvalidSetting
from jobs.rotation import plan_rotation
from worker.command.output import Output
from worker.postgres import keys
from worker.postgres.connection import Connection
from worker.vault import (
    Keyring,
    KeyringSource,
    change_keyring,
    check_changeable,
    check_keys_present,
    rewrap_data_key,
    with_new_key,
    with_primary,
)

_LOOK_SECONDS = 0.5
_TELL_EVERY = 1_000


@dataclass(frozen=True, slots=True, repr=False)
class Turned:
    """What a call came to; `to_place` is a keyring that a person must put in its place."""

    key_id: str
    state: str
    source: KeyringSource
    rewrapped: int = 0
    broken: tuple[str, ...] = ()
    file: Path | None = None
    to_place: Keyring | None = None
    elsewhere: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Say whether every data key is wrapped by the primary key."""
        return self.state == "rotated" and not self.broken

    def tell(self) -> list[str]:
        """Say what a person does next."""
        place = f"put this keyring where {self.source.name} has it from"
        said = []
        if self.state == "prepared" and self.to_place:
            said.append(
                f"{self.key_id} only opens so far: {place}, for every worker and whoever stores credentials, restart "
                "the workers, then call `zaptik keys rotate` again"
            )
            if self.elsewhere:
                said.append(
                    f"{', '.join(self.elsewhere)}, made before, is not in this keyring. If it was put in its place "
                    "just now, it has not come here yet: put this one nowhere, wait until `zaptik keys list` says "
                    "`next`, and call again. If it is lost, `zaptik keys drop` takes it from the list"
                )
        elif self.state == "prepared":
            said.append(
                f"{self.key_id} is in {self.file} and only opens so far: give every worker that has a copy of the file "
                "the new one, keep a copy of it, then call `zaptik keys rotate` again"
            )
        else:
            said.append(f"{self.key_id} is the primary key; {self.rewrapped} data keys were wrapped anew")
            if self.to_place:
                said.append(f"{place}: its primary is {self.key_id} now")
        if self.broken:
            said.append(
                f"{len(self.broken)} data keys do not open and stay as they are: store the credentials of these "
                f"tenants again, or restore their rows: {', '.join(self.broken)}"
            )
        return said


@dataclass(slots=True)
class Rotation:
    """One call of `rotate`."""

    source: KeyringSource
    in_file: bool
    prepare_only: bool
    output: Output
    deadline: float

    @property
    def file(self) -> Path | None:
        """The keyring's file, where we may write it."""
        return self.source.file if self.in_file else None

    async def turn(self, connection: Connection) -> Turned:
        """Do what can be done now."""
        if self.file is not None:
            check_changeable(self.file)
        keyring = self.source.read()
        known = await keys.read_keys(connection)
        check_keys_present(keyring, [key.key_id for key in known if key.tenants])
        if not any(key.key_id == keyring.primary and key.primary_at for key in known):
            await keys.promote_key(connection, keyring.primary)  # an own keyring, never used nor rotated
            known = await keys.read_keys(connection)
        planned = plan_rotation(keyring.primary, keyring.keys.keys(), known)
        step, key_id = planned.step, planned.key_id
        if step == "prepare":
            keyring, key_id = with_new_key(keyring)
            await keys.register_key(connection, key_id)
            if self.file is None:
                unseen = [key for key in known if not (key.primary_at or key.dropped_at or key.tenants)]
                elsewhere = tuple(key.key_id for key in unseen if key.key_id not in keyring.keys)
                return Turned(key_id, "prepared", self.source, to_place=keyring, elsewhere=elsewhere)
            change_keyring(self.file, partial(put_over, keyring))
            self.output.say(f"zaptik: {key_id} is made, and only opens so far")
        if self.prepare_only:
            return Turned(key_id, "prepared", self.source, file=self.file)
        await self._wait_until_shared(connection, key_id)
        await keys.promote_key(connection, key_id)
        turned = keyring.primary != key_id
        keyring = with_primary(keyring, key_id)
        if self.file is not None and turned:
            change_keyring(self.file, partial(put_over, keyring))
        rewrapped = await self._rewrap(connection, keyring)
        return Turned(
            key_id,
            "rotated",
            self.source,
            rewrapped=rewrapped.done,
            broken=tuple(map(str, rewrapped.broken)),
            file=self.file,
            to_place=keyring if turned and self.file is None else None,
        )

    async def _wait_until_shared(self, connection: Connection, key_id: str) -> None:
        """Wait until every worker holds a key: those that read our file will; others need a person."""
        told = False
        while self.file is not None and time.monotonic() < self.deadline:
            lacking = await keys.read_workers_without(connection, key_id)
            if not lacking:
                return
            if not told:
                self.output.say(f"zaptik: waiting for {', '.join(lacking)} to read {key_id}")
                told = True
            await asyncio.sleep(_LOOK_SECONDS)
        await keys.check_workers_hold(connection, key_id)

    async def _rewrap(self, connection: Connection, keyring: Keyring) -> keys.Rewrapped:
        total = sum(key.tenants for key in await keys.read_keys(connection) if key.key_id != keyring.primary)

        def rewrap(wrapped: bytes, key_id: str, tenant: str) -> bytes:
            return rewrap_data_key(keyring, wrapped, tenant, key_id=key_id)

        so_far = keys.Rewrapped(0, ())
        told = 0
        async for so_far in keys.rewrap_all(connection, keyring.primary, rewrap=rewrap):
            if so_far.done - told >= _TELL_EVERY:
                told = so_far.done
                self.output.say(f"zaptik: {told} of {total} data keys are wrapped by {keyring.primary}")
        return so_far


def put_over(keyring: Keyring, there: Keyring) -> Keyring:
    """Give the keyring to put in the place of the one that is there; it loses no key of that."""
    if not there.keys.items() <= keyring.keys.items():
        raise InvalidSetting(
            "the keyring was changed meanwhile by another command: nothing was lost; call again."
        )
    return keyring
