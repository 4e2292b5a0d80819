"""What a deletion leaves outside of the database: its certificate, and a line in the list of deleted tenants."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO

import worker
from jobs.certificate import (
    CERTIFICATE,
    CertificateInvalid,
    Paper,
    Tombstone,
    TombstonesUnreadable,
    build_tombstone,
    mend_tail,
    read_tombstones,
    sign_paper,
)
from jobs.errors import FileNotWritten
from worker.command.files import opened
from worker.command.output import encode_document, format_time
from worker.postgres.deletion import Deletion
from worker.settings import Settings, variable_of
from worker.vault import AuditKey, read_audit_key

_LONGEST_LINE = 64 * 1024


def build_certificate(deletion: Deletion, messages: int | None, signer: AuditKey | None) -> Paper:
    """Certify what was deleted; `messages` were taken out of Redis, None where it was not asked."""
    leaving = deletion.leaving
    return sign_paper(
        {
            "form": CERTIFICATE,
            "tenant": leaving.tenant,
            "url": leaving.url,
            "tenant_id": str(leaving.tenant_id),
            "reference": leaving.reference,
            "requested_at": format_time(leaving.requested_at),
            "deleted_at": format_time(deletion.deleted_at),
            "deleted": {
                "schema": leaving.schema_name,
                "roles": list(deletion.roles),
                "consumers": deletion.consumers,
                "graph_rows": dict(deletion.graph),
                "control_rows": dict(deletion.control),
                "redis_messages": messages,
            },
            "kept": "audit events, which name neither the tenant nor its instance, until they are two years old",
            "release": worker.__version__,
        },
        signer,
    )


def keep_papers(certificate: Paper, file: Path | None, settings: Settings, signer: AuditKey | None) -> None:
    """Write the certificate to its file, and the tombstone to its list; both are on the disk when this returns."""
    if file is not None:
        with opened(file) as out:
            out.write(encode_document(certificate).encode() + b"\n")
            out.flush()
            if file.is_file() or not file.exists():
                os.fsync(out.fileno())
    if settings.tombstones_file is not None:
        _append(settings.tombstones_file, build_tombstone(certificate, signer))


def read_listed(settings: Settings) -> tuple[list[Tombstone], bool]:
    """Read the list of deleted tenants, and whether its last line is torn; empty where none is set, or was begun."""
    path = settings.tombstones_file
    if path is None:
        return [], False
    key = read_audit_key(settings)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], False
    except OSError as error:
        raise TombstonesUnreadable(
            f"{variable_of('tombstones_file')}: {path} cannot be read: {error.strerror}. It names the list itself, a "
            "file that whoever runs this may read and add to."
        ) from None
    return read_tombstones(content, check_signature=key.trusted.check if key else None)


def read_paper(path: Path) -> object:
    """Read a certificate's file; CertificateInvalid where there is no JSON in it."""
    try:
        paper: object = json.loads(path.read_bytes())
    except OSError as error:
        raise CertificateInvalid(f"It cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise CertificateInvalid("It is no JSON.") from None
    return paper


def _append(path: Path, line: str) -> None:
    """Add a line to the list, after a whole one; it is on the disk when this returns, and so is the file's name."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            # Two deletions at once add one line after the other; released with the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before, cut = mend_tail(_read_tail(file))
            if cut:
                file.truncate(file.seek(0, os.SEEK_END) - cut)
            file.write(before + line.encode())
            file.flush()
            os.fsync(descriptor)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise FileNotWritten(
            f"{variable_of('tombstones_file')}: {path} cannot be added to: {error.strerror}. Nothing more was deleted."
        ) from None


def _read_tail(file: IO[bytes]) -> bytes:
    """Give what stands after the last line's end."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE))
    return file.read().rpartition(b"\n")[2]
