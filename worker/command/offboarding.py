"""`tenant offboard`: a customer's written request to be deleted, from the day it comes to the certificate."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jobs.certificate import CERTIFICATE, CertificateInvalid, Paper, check_paper, digest_paper
from jobs.errors import DatabaseAway, Failure, KeyMissing, WrongArguments
from jobs.leaving import TenantStays, tell_standing
from jobs.names import check_tenant_name
from worker.command.database import ask_as_administrator
from worker.command.output import Output, encode_document, format_time
from worker.command.papers import build_certificate, keep_papers, read_paper
from worker.postgres import deletion, offboarding
from worker.postgres.connection import Connection
from worker.postgres.offboarding import Offboarding
from worker.queue import Doorbell
from worker.settings import Settings, variable_of
from worker.vault import read_audit_key, read_trusted_keys


def offboard(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Record the request, call it off, or delete: one tenant now, or all whose time has come."""
    _check_arguments(asked)
    if asked.due:
        return _delete_due(asked.certificates, settings, output)
    name = check_tenant_name(asked.name)
    if asked.cancel:
        return _cancel(name, settings, output)
    leaving, now = ask_as_administrator(settings, lambda connection: _record(connection, asked, name))
    if asked.now:
        output.document(_delete(leaving, now, asked.certificate, settings, output))
        return 0
    document = describe_leaving(leaving, now=now)
    output.document(document)
    output.lines(
        [
            f"{name} runs no more and is to be deleted by {document['due_at']}, under {leaving.reference}",
            f"deletes it: `zaptik tenant offboard {name} --now`, or `zaptik tenant offboard --due` in its last week",
            f"calls it off: `zaptik tenant offboard {name} --cancel`",
        ]
    )
    return 0


def verify_certificate(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Check a certificate against the keys that are trusted; needs no database."""
    key = read_audit_key(settings)
    trusted = read_trusted_keys(asked.keys) if asked.keys else key.trusted if key else None
    if trusted is None:
        raise KeyMissing(
            f"no key to check by: give --keys FILE, as `zaptik audit key show` prints it, or set "
            f"{variable_of('audit_key_file')}"
        )
    try:
        paper = check_paper(read_paper(asked.file), form=CERTIFICATE, check_signature=trusted.check)
    except CertificateInvalid as invalid:
        output.say(f"zaptik: {asked.file}: {invalid.message}")
        output.document({"ok": False, "error": invalid.document()})
        return 1
    output.document({"ok": True, "digest": digest_paper(paper), "certificate": paper})
    output.lines(_show_verified(paper))
    return 0


def _show_verified(paper: Paper) -> Iterator[str]:
    yield f"{paper['tenant']} was deleted at {paper['deleted_at']}, under {paper['reference']}"
    yield f"signed by {paper['key_id']}"
    yield f"tenant.deleted of {paper['tenant_id']} in the audit trail has the digest {digest_paper(paper)}"


def describe_leaving(leaving: Offboarding, *, now: datetime) -> dict[str, Any]:
    """Give a tenant that leaves as the command prints it."""
    return {
        "tenant": leaving.tenant,
        "tenant_id": str(leaving.tenant_id),
        "state": "offboarding",
        "reference": leaving.reference,
        "requested_at": format_time(leaving.requested_at),
        "due_at": format_time(leaving.due_at),
        "standing": tell_standing(leaving.due_at, now=now),
        "begun_at": format_time(leaving.begun_at),
        "certificate": None,
    }


def _check_arguments(asked: argparse.Namespace) -> None:
    if asked.due and (asked.name or asked.reference or asked.now or asked.cancel or asked.certificate):
        raise WrongArguments("--due deletes all whose time has come: it takes --certificates FOLDER alone.")
    if not asked.due and (asked.name is None or asked.certificates):
        raise WrongArguments(
            "which tenant? Or --due, for all whose time has come, with --certificates FOLDER."
        )
    if asked.cancel and (asked.reference or asked.now or asked.certificate):
        raise WrongArguments("--cancel calls a request off: it takes nothing else.")
    if asked.certificate and not asked.now:
        raise WrongArguments(
            "--certificate goes with --now: until it is deleted there is nothing to certify."
        )


async def _record(
    connection: Connection, asked: argparse.Namespace, name: str
) -> tuple[Offboarding, datetime]:
    if asked.reference is None:
        leaving = await offboarding.find_offboarding(connection, name)
    else:
        leaving = await offboarding.request_offboarding(connection, name, reference=asked.reference)
    return leaving, await offboarding.read_clock(connection)


def _cancel(name: str, settings: Settings, output: Output) -> int:
    tenant = ask_as_administrator(
        settings, lambda connection: offboarding.cancel_offboarding(connection, name)
    )
    output.document({"tenant": name, "tenant_id": str(tenant.tenant_id), "state": tenant.state})
    output.lines([f"{name} stays, and is {tenant.state} as before"])
    return 0


def _delete_due(folder: Path | None, settings: Settings, output: Output) -> int:
    """Delete every tenant whose last week has begun; 1 where one failed, and the others are done.

    The list is read anew for each: what was called off meanwhile stays. The time is the database's.
    """
    deleted: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    tried: set[UUID] = set()
    while True:
        leaving, now = ask_as_administrator(settings, _read_leaving)
        left = [one for one in leaving if one.tenant_id not in tried]
        ready = [one for one in left if one.begun_at is not None or not _is_waiting(one, now)]
        if not ready:
            break
        one = ready[0]
        tried.add(one.tenant_id)
        file = folder / f"{one.tenant_id}.json" if folder else None
        try:
            deleted.append(_delete(one, now, file, settings, output))
        except DatabaseAway:
            raise
        except TenantStays as stays:
            output.say(f"zaptik: {stays.message}")
        except Failure as failure:
            failed.append({**describe_leaving(one, now=now), "error": failure.document()})
            output.say(f"zaptik: tenant {one.tenant}: {failure.code}: {failure.message}")
    waiting = [describe_leaving(one, now=now) for one in left]
    output.document({"deleted": deleted, "failed": failed, "waiting": waiting})
    output.lines([f"{len(deleted)} deleted, {len(failed)} failed, {len(waiting)} wait for their last week"])
    return 1 if failed else 0


async def _read_leaving(connection: Connection) -> tuple[list[Offboarding], datetime]:
    return await offboarding.read_offboardings(connection), await offboarding.read_clock(connection)


def _is_waiting(leaving: Offboarding, now: datetime) -> bool:
    return tell_standing(leaving.due_at, now=now) == "waiting"


def _delete(
    leaving: Offboarding, now: datetime, file: Path | None, settings: Settings, output: Output
) -> dict[str, Any]:
    """Delete a tenant; what was cut off is done again from where it was. Gives its document, with the certificate."""
    signer = read_audit_key(settings)  # before anything is gone
    if signer is None:
        output.say(f"zaptik: {variable_of('audit_key_file')} is not set: the certificate is not signed")
    if settings.tombstones_file is None:
        output.say(
            f"zaptik: {variable_of('tombstones_file')} is not set: a restored backup would bring {leaving.tenant} back"
        )

    async def delete(connection: Connection) -> Paper:
        runs = await deletion.begin_deletion(connection, leaving)
        # While the rows are still there: if Redis is away no more is deleted, and the next call does it all.
        messages = _forget_in_redis(settings, runs)
        async with deletion.deleting(connection, leaving) as done:
            certificate = build_certificate(done, messages, signer)
            # On the disk before the commit: where that fails the next call writes others, but what went without a
            # paper could never be shown.
            keep_papers(certificate, file, settings, signer)
            await deletion.record_deletion(
                connection, done, reason="request", certificate=digest_paper(certificate)
            )
        return certificate

    certificate = ask_as_administrator(settings, delete)
    _tidy(leaving, settings, output)
    output.lines(_show_certificate(certificate, file))
    return {
        **describe_leaving(leaving, now=now),
        "state": "deleted",
        "deleted_at": certificate["deleted_at"],
        "certificate": certificate,
    }


def _tidy(leaving: Offboarding, settings: Settings, output: Output) -> None:
    """Tidy up behind a deletion, which is done and stays so."""
    try:
        ask_as_administrator(settings, lambda connection: deletion.tidy_statistics(connection, leaving))
    except Failure as failure:
        output.say(
            f"zaptik: {leaving.tenant} is deleted; the server's statistics may hold its name until they are made anew "
            f"(VACUUM ANALYZE): {failure.message}"
        )


def _forget_in_redis(settings: Settings, runs: list[Any]) -> int | None:
    if settings.redis_url is None:
        return None
    doorbell = Doorbell(settings.require_redis_url(), ca_file=settings.redis_ca_file)
    try:
        return doorbell.forget(runs)
    finally:
        doorbell.close()


def _show_certificate(certificate: Paper, file: Path | None) -> Iterator[str]:
    rows = sum(sum(certificate["deleted"][name].values()) for name in ("graph_rows", "control_rows"))
    yield f"{certificate['tenant']} is deleted, {rows} rows, under {certificate['reference']}"
    if file is not None:
        yield f"certificate: {file}"
    else:
        yield from encode_document(certificate).splitlines()
