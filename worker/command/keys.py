"""`keys`: the deployment's keys by their ids, a new one, and dropping one that nothing needs any more."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.errors import Failure, KeyInUse, KeyMissing
from jobs.rotation import KnownKey, find_newest_primary
from worker.command.database import ask_as_app
from worker.command.key_rotation import Rotation
from worker.command.output import Output, align, format_time
from worker.postgres import keys
from worker.postgres.connection import Connection
from worker.settings import Settings
from worker.vault import (
    Keyring,
    change_keyring,
    check_changeable,
    describe_keyring,
    find_source,
    format_keyring,
    generate_keyring,
    new_keyring,
    without_key,
)

_IN_PART = 3
_SHARE_SECONDS = 60.0  # longer than a worker that died stays on the list


def generate(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Make a keyring of one fresh key, in a file, or on standard output where none is named."""
    if asked.into is None:
        keyring = new_keyring()
        key_id = keyring.primary
        sys.stdout.write(format_keyring(keyring))
        output.say(f"zaptik: key {key_id}; keep this text apart from the database, and keep a copy of it")
    else:
        key_id = generate_keyring(asked.into)
        output.document({"key_id": key_id, "file": str(asked.into)})
        output.lines(
            [f"key {key_id} in {asked.into}: keep it apart from the database, and keep a copy of it"]
        )
    if settings.database_url is not None:
        try:
            ask_as_app(settings, lambda connection: keys.register_key(connection, key_id))
        except Failure as failure:  # before the first `migrate` there is no trail to write to
            output.say(f"zaptik: that the key was made is not in the audit trail: {failure.message}")
    return 0


def list_all(_asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the keys of the keyring and those that the database knows, and which workers lack one that is in use."""
    source = find_source(settings)
    keyring = source.read()

    async def read(connection: Connection) -> tuple[list[KnownKey], dict[str, list[str]]]:
        known = await keys.read_keys(connection)
        needed = [key.key_id for key in known if key.tenants] + [keyring.primary]
        return known, {
            key_id: await keys.read_workers_without(connection, key_id) for key_id in dict.fromkeys(needed)
        }

    known, lacking = ask_as_app(settings, read)
    rows = list(_describe_keys(keyring, known, lacking))
    output.document({"keyring": source.name, "keys": rows})
    output.lines(
        align(
            ("key", "standing", "tenants", "since"),
            ((row["key_id"], row["standing"], row["tenants"], row["since"]) for row in rows),
        )
    )
    for row in rows:
        if row["standing"] == "missing":
            output.say(f"zaptik: {row['key_id']} is in use and not in the keyring: put it back")
        if row["workers_without"]:
            output.say(
                f"zaptik: {row['key_id']} is not known to {', '.join(map(str, row['workers_without']))}"
            )
    return 0


def rotate(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Replace the primary key: make a new one, share it, promote it, and wrap every tenant's data key by it."""
    rotation = Rotation(
        source=find_source(settings),
        in_file=not asked.print,
        prepare_only=asked.prepare,
        output=output,
        deadline=time.monotonic() + _SHARE_SECONDS,
    )
    turned = ask_as_app(settings, rotation.turn)
    output.document(
        {
            "key_id": turned.key_id,
            "state": turned.state,
            "rewrapped": turned.rewrapped,
            "broken": list(turned.broken),
            "file": str(turned.file) if turned.file else None,
            "keyring": describe_keyring(turned.to_place) if turned.to_place else None,
        }
    )
    _print_keyring(turned.to_place, output)
    for words in turned.tell():
        output.say(f"zaptik: {words}")
    return 0 if turned.is_done or asked.prepare else _IN_PART


def drop(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Drop a key that nothing needs, for good: from the database's list, and from the keyring's file."""
    source = find_source(settings)
    keyring, key_id = source.read(), asked.key_id
    if key_id == keyring.primary:
        raise KeyInUse(f"{key_id} is the primary key: run `zaptik keys rotate` first.")
    file = None if asked.print else source.file
    if file is not None and key_id in keyring.keys:
        check_changeable(file)
    # In the database first: it refuses while anything needs the key, and from then on nothing can.
    ask_as_app(settings, lambda connection: _drop_known(connection, key_id, keyring))
    to_place = None
    if key_id in keyring.keys:
        if file is not None:
            change_keyring(file, lambda ring: without_key(ring, key_id))
        else:
            to_place = without_key(keyring, key_id)
    output.document(
        {
            "key_id": key_id,
            "dropped": True,
            "file": str(file) if file else None,
            "keyring": describe_keyring(to_place) if to_place else None,
        }
    )
    _print_keyring(to_place, output)
    if to_place:
        output.say(f"zaptik: put this keyring, without {key_id}, where {source.name} has it from")
    output.say(
        f"zaptik: {key_id} is dropped; keep a copy of it as long as you keep backups of the database in which "
        "it was in use"
    )
    return 0


def _print_keyring(keyring: Keyring | None, output: Output) -> None:
    if keyring is not None and not output.as_json:
        sys.stdout.write(format_keyring(keyring))


async def _drop_known(connection: Connection, key_id: str, keyring: Keyring) -> None:
    known = [key for key in await keys.read_keys(connection) if key.dropped_at is None]
    if key_id not in keyring.keys and key_id not in {key.key_id for key in known}:
        raise KeyMissing(f"There is no key {key_id!a}: `zaptik keys list` names them.")
    if key_id == find_newest_primary(known, otherwise=keyring.primary):
        raise KeyInUse(f"{key_id} is the primary key: run `zaptik keys rotate` first.")
    if needed := await keys.drop_key(connection, key_id):
        what = "1 data key" if needed == 1 else f"{needed} data keys"
        raise KeyInUse(f"{key_id} is needed for {what}: run `zaptik keys rotate` first.")


def _describe_keys(
    keyring: Keyring, known: Sequence[KnownKey], lacking: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    by_id = {key.key_id: key for key in known}
    for key_id in dict.fromkeys([*by_id, *sorted(keyring.keys)]):
        key = by_id.get(key_id)
        if key_id in keyring.keys or (key and not key.dropped_at):
            yield {
                "key_id": key_id,
                "standing": _tell_standing(key_id, key, keyring),
                "primary": key_id == keyring.primary,
                "in_keyring": key_id in keyring.keys,
                "tenants": key.tenants if key else 0,
                "since": format_time(key.primary_at or key.seen_at) if key else None,
                "workers_without": list(lacking.get(key_id, ())),
            }


def _tell_standing(key_id: str, key: KnownKey | None, keyring: Keyring) -> str:
    if key_id not in keyring.keys:
        return "missing" if key and key.tenants else "elsewhere"
    if key and key.dropped_at:
        return "dropped"
    if key_id == keyring.primary:
        return "primary"
    return "next" if key and key.primary_at is None else "opens"
