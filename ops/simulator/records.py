"""Rows from files: a folder of JSON lines, one file a table, as the Table API gave them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ops.simulator.columns import TABLE_NAME, Column, extends, known_tables
from ops.simulator.store import Row, Store


def records_store(folder: Path | str, *, seed: int = 1) -> Store:
    """Read every `TABLE.jsonl` of a folder; raise `ValueError` naming the file and line that is no row."""
    store = Store(seed=seed)
    files = sorted(path for path in Path(folder).glob("*.jsonl") if TABLE_NAME.match(path.stem))
    if not files:
        raise ValueError(f"no TABLE.jsonl in {folder}")
    for path in files:
        _load_file(store, path)
    return store


def _load_file(store: Store, path: Path) -> None:
    columns: dict[str, Column] = {}
    rows: list[Row] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ValueError(f"{path.name}, line {number}: not a row: {error}") from error
        rows.append(_row(path.stem, fields))
        columns |= {
            name: _column(name, value)
            for name, value in fields.items()
            if _says_more(columns.get(name), value)
        }
    _load(store, path.stem, rows, columns)


def _load(store: Store, name: str, rows: list[Row], columns: dict[str, Column]) -> None:
    """Put rows where their class says; a row that two files have is one row."""
    store.declare(name)
    for child in known_tables():
        if extends(child, name):
            store.declare(child)
    homes: dict[str, list[Row]] = {name: []}
    for row in rows:
        home = store.home(name, row)
        if home.column("sys_class_name"):
            row.setdefault("sys_class_name", home.name)
        homes.setdefault(home.name, []).append({**home.rows.get(row["sys_id"], {}), **row})
    for home_name, own in homes.items():
        store.load(home_name, own, columns=columns.values())


def _row(table: str, fields: dict[str, Any]) -> Row:
    """Flatten values to text; a row without a sys_id gets one from its content."""
    row = {name: text for name, value in fields.items() if (text := _text(value))}
    if "sys_id" not in row:
        content = msgspec.json.encode([table, row], order="sorted")
        row["sys_id"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return row


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return _text(value.get("value"))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _says_more(known: Column | None, value: Any) -> bool:
    return known is None or (known.kind != "reference" and isinstance(value, dict))


def _column(name: str, value: Any) -> Column:
    """Learn what a value says of its column: a link names the table that a reference points to."""
    if not isinstance(value, dict) or "/table/" not in str(value.get("link", "")):
        return Column(name)
    link = urlsplit(value["link"])
    target = link.path.rpartition("/table/")[2].split("/")[0]
    return Column(name, "reference", target, link.query.partition("=")[0] or "sys_id")
