"""The words of the command line, and which function each leads to."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import worker
from jobs.errors import WrongArguments
from worker.command import (
    audit,
    consumers,
    credentials,
    deployment,
    doctor,
    findings,
    graph_diff,
    graph_explain,
    graph_export,
    keys,
    offboarding,
    processes,
    retention,
    revisions,
    runs,
    surface,
    tenants,
)
from worker.command.completion import SHELLS, build_complete
from worker.command.examples import show_examples
from worker.command.output import Output
from worker.command.values import parse_digest, parse_duration, parse_number, parse_run_id, parse_time
from worker.settings import Settings

Command = Callable[[argparse.Namespace, Settings, Output], int]

_UNKNOWN = "unrecognized arguments:"  # argparse's own words
_MOST_RUNS = 1_000
_MOST_SEGMENTS = 2**62
_MOST_EVENTS = 10_000
_HIGHEST_REVISION = 2**63 - 1


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        # No abbreviations: `--client-secret` must not pass for `--client-secret-stdin`.
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        if message.startswith(_UNKNOWN):
            # Only options are named: a word that has no place here may be a secret.
            given = message.removeprefix(_UNKNOWN).split()
            names = [word.partition("=")[0] for word in given if word.startswith("--")]
            message = f"{_UNKNOWN} {', '.join(names) or 'a word too many'}"
        raise WrongArguments(f"{message}; see `{self.prog} --help`.")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; its `command` is what to call. WrongArguments where it is none."""
    parsed = build_parser().parse_args(arguments)
    if not hasattr(parsed, "command"):
        raise WrongArguments("which command? See `zaptik --help`.")
    return parsed


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = _Parser(
        prog="zaptik",
        description="Reads customers' ServiceNow configuration and keeps it as a graph, revision by revision.",
        epilog="Settings are variables with the prefix ZAPTIK_; see docs/reference/settings.md.",
    )
    parser.add_argument("--version", action="version", version=f"zaptik {worker.__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser)
    _add_deployment(verbs)
    _add_keys(verbs)
    _add_tenants(verbs)
    _add_runs(verbs)
    _add_revisions(verbs)
    _add_graph(verbs)
    _add_consumers(verbs)
    _add_audit(verbs)
    retained = _add_family(verbs, "retention", "what is kept, and for how long")
    _add(
        retained,
        "run",
        retention.run,
        "let go what is older than is kept: revisions, runs, and months of the audit trail",
    )
    shell = _add(
        verbs, "completion", build_complete(build_parser), "print what a shell needs to complete our words"
    )
    shell.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or tcsh")
    _add(verbs, "worker", processes.work, "the process that does the runs")
    _add(verbs, "scheduler", processes.schedule, "the process that says which runs are due")
    return parser


def _add(verbs: argparse._SubParsersAction[_Parser], name: str, command: Command, summary: str) -> _Parser:
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.epilog = show_examples(parser.prog.partition(" ")[2])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command)
    return parser


def _add_family(
    verbs: argparse._SubParsersAction[_Parser], name: str, summary: str
) -> argparse._SubParsersAction[_Parser]:
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    return parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser, required=True)


def _add_deployment(verbs: argparse._SubParsersAction[_Parser]) -> None:
    _add(verbs, "migrate", deployment.migrate, "bring every schema to the version this release needs")


def _add_keys(verbs: argparse._SubParsersAction[_Parser]) -> None:
    family = _add_family(verbs, "keys", "the deployment's keys")
    generate = _add(family, "generate", keys.generate, "make a keyring with one fresh key")
    generate.add_argument(
        "--into", type=Path, metavar="FILE", help="create FILE, for its owner alone; else standard output"
    )
    _add(
        family, "list", keys.list_all, "list the keys, how many tenants need each, and which workers lack one"
    )
    rotate = _add(
        family,
        "rotate",
        keys.rotate,
        "replace the primary key and wrap every data key by the new one, or go on with it",
    )
    rotate.add_argument(
        "--prepare", action="store_true", help="only add the new key, to be given to all before it is used"
    )
    drop = _add(family, "drop", keys.drop, "drop a key that nothing needs, for good")
    drop.add_argument("key_id", metavar="KEY_ID", help="the key's id, as `keys list` shows it")
    for parser in (rotate, drop):
        parser.add_argument(
            "--print",
            action="store_true",
            help="print the changed keyring instead of writing its file; so it is where the keyring is no file",
        )


def _add_tenants(verbs: argparse._SubParsersAction[_Parser]) -> None:
    family = _add_family(verbs, "tenant", "customers' instances")
    add = _add(family, "add", tenants.add, "provision a tenant")
    add.add_argument("name", metavar="NAME", help="the instance's name, as in https://NAME.service-now.com")
    add.add_argument("--url", required=True, help="the instance's address, https://…")
    add.add_argument(
        "--every",
        type=parse_duration,
        default=3600,
        metavar="DURATION",
        help="cadence: 15m, 1h (default), 1d",
    )
    _add(family, "list", tenants.list_all, "list tenants")
    pause = _add(family, "pause", tenants.pause, "hold a tenant: no run begins until it is resumed")
    resume = _add(family, "resume", tenants.resume, "let a paused tenant run again, at once")
    credential = _add_family(verbs, "credential", "the OAuth client of a tenant's integration user")
    store = _add(
        credential,
        "set",
        credentials.set_credential,
        "try a client id and secret, seal and store them, and let the tenant run",
    )
    store.add_argument("--client-id", required=True, metavar="ID")
    store.add_argument(
        "--client-secret-stdin",
        action="store_true",
        help="read the secret from standard input, not from a prompt",
    )
    store.add_argument(
        "--no-try",
        action="store_true",
        help="store without asking the instance for a token first, as where this machine cannot reach it",
    )
    for parser in (pause, resume, store):
        parser.add_argument("name", metavar="NAME")
    _add_offboarding(family)


def _add_offboarding(family: argparse._SubParsersAction[_Parser]) -> None:
    leave = _add(
        family,
        "offboard",
        offboarding.offboard,
        "record a written request to delete a tenant, which stops it at once, or delete it",
    )
    leave.add_argument("name", metavar="NAME", nargs="?", help="the tenant")
    leave.add_argument(
        "--reference", metavar="TEXT", help="of the written request; it stays in the audit trail"
    )
    leave.add_argument("--now", action="store_true", help="delete it at once, for good")
    leave.add_argument(
        "--certificate", type=Path, metavar="FILE", help="with --now: write the certificate to FILE"
    )
    leave.add_argument("--cancel", action="store_true", help="call the request off, while nothing is deleted")
    leave.add_argument(
        "--due", action="store_true", help="delete all tenants that must be gone within a week; call it daily"
    )
    leave.add_argument(
        "--certificates",
        type=Path,
        metavar="FOLDER",
        help="with --due: write each one's certificate to FOLDER",
    )
    papers = _add_family(family, "certificate", "what proves a deletion")
    verify = _add(
        papers, "verify", offboarding.verify_certificate, "check that a certificate is what was signed"
    )
    verify.add_argument("file", type=Path, metavar="FILE", help="as `tenant offboard` wrote it")
    verify.add_argument(
        "--keys", type=Path, metavar="FILE", help="the public keys; those of ZAPTIK_AUDIT_KEY_FILE otherwise"
    )


def _add_runs(verbs: argparse._SubParsersAction[_Parser]) -> None:
    examine = _add(
        verbs, "doctor", doctor.examine, "try the credentials and every table of a tenant's instance"
    )
    examine.add_argument("name", metavar="NAME")
    sync = _add(verbs, "sync", runs.sync, "ask for a run of a tenant")
    sync.add_argument("name", metavar="NAME")
    sync.add_argument(
        "--full",
        action="store_true",
        help="read everything; otherwise only what may differ is read",
    )
    sync.add_argument(
        "--wait", action="store_true", help="follow the run to its end; its outcome is the exit code"
    )
    listing = _add(verbs, "runs", runs.list_runs, "list a tenant's runs, the newest first")
    listing.add_argument("name", metavar="NAME")
    listing.add_argument(
        "--limit", type=parse_number(_MOST_RUNS), default=20, metavar="N", help="at most N (default 20)"
    )
    family = _add_family(verbs, "run", "one run")
    cancel = _add(
        family, "cancel", runs.cancel, "end a run that waits or is under way; what it read is dropped"
    )
    cancel.add_argument("run_id", type=parse_run_id, metavar="RUN_ID", help="as `zaptik runs NAME` shows it")
    fleet = _add(verbs, "status", runs.status, "show the fleet: tenants, queue, workers")
    fleet.add_argument(
        "--watch",
        action="store_true",
        help="draw it anew every two seconds, those in trouble first, until Ctrl-C",
    )


def _add_revisions(verbs: argparse._SubParsersAction[_Parser]) -> None:
    family = _add_family(verbs, "revision", "a tenant's revisions, and those that wait for a person")
    listing = _add(family, "list", revisions.list_all, "list a tenant's revisions, the newest first")
    listing.add_argument("name", metavar="NAME")
    accept = _add(family, "accept", revisions.accept, "publish a quarantined revision as it is")
    reject = _add(family, "reject", revisions.reject, "drop a quarantined revision")
    for parser in (accept, reject):
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "revision", type=int, nargs="?", metavar="N", help="its number; the one that waits otherwise"
        )


def _add_graph(verbs: argparse._SubParsersAction[_Parser]) -> None:
    family = _add_family(verbs, "graph", "a tenant's graph")
    export = _add(
        family,
        "export",
        graph_export.export,
        "write a revision's nodes and edges: as lines of JSON, as GraphML, or as a page to look at",
    )
    export.add_argument("name", metavar="NAME")
    export.add_argument(
        "--revision",
        type=parse_number(_HIGHEST_REVISION),
        metavar="N",
        help="an earlier one; the current one otherwise",
    )
    export.add_argument(
        "--format",
        choices=sorted(graph_export.FORMS),
        default="jsonl",
        help="jsonl (default); graphml for Gephi and NetworkX; html, one page to look at and search",
    )
    export.add_argument(
        "--diff",
        type=parse_number(_HIGHEST_REVISION),
        metavar="FROM",
        help="html: show what changed since revision FROM",
    )
    export.add_argument(
        "-o", dest="file", type=Path, metavar="FILE", help="write to FILE, not to standard output"
    )
    compare = _add(
        family, "diff", graph_diff.diff, "show what differs between two revisions, in either order"
    )
    compare.add_argument("name", metavar="NAME")
    for end in ("from", "to"):
        compare.add_argument(f"{end}_revision", type=parse_number(_HIGHEST_REVISION), metavar=end.upper())
    tell = _add(family, "explain", graph_explain.explain, "show who handles an item, and why")
    tell.add_argument("name", metavar="NAME")
    tell.add_argument("node", metavar="NODE_ID", help="TABLE:SYS_ID, or a name that only one node has")
    tell.add_argument("--revision", type=parse_number(_HIGHEST_REVISION), metavar="N", help="an earlier one")
    found = _add(family, "findings", findings.list_all, "list what in a revision somebody should look at")
    found.add_argument("name", metavar="NAME")
    found.add_argument(
        "--revision",
        type=parse_number(_HIGHEST_REVISION),
        metavar="N",
        help="an earlier one; the current otherwise",
    )
    _add(
        verbs,
        "surface",
        surface.surface,
        "show what is read: tables, fields, why, and the role that permits it",
    )


def _add_audit(verbs: argparse._SubParsersAction[_Parser]) -> None:
    family = _add_family(verbs, "audit", "the trail of every request and every act")
    tail = _add(family, "tail", audit.tail, "show the newest events, the newest last")
    tail.add_argument("--tenant", metavar="NAME", help="of this tenant")
    tail.add_argument("--run", type=parse_run_id, metavar="RUN_ID", help="of this run")
    tail.add_argument(
        "--action", metavar="EVENT", help="of this kind, as docs/reference/events.md names them"
    )
    tail.add_argument(
        "--limit", type=parse_number(_MOST_EVENTS), default=20, metavar="N", help="at most N (default 20)"
    )
    check = _add(family, "verify", audit.verify_trail, "check the chain of checkpoints and what each sealed")
    export = _add(
        family, "export", audit.export, "write the sealed trail to a file that can be checked elsewhere"
    )
    for parser in (check, export):
        parser.add_argument(
            "--from",
            dest="begins",
            type=parse_time,
            metavar="TIME",
            help="only segments with events from TIME on",
        )
        parser.add_argument("--to", dest="ends", type=parse_time, metavar="TIME", help="and before TIME")
    check.add_argument(
        "--checkpoint", type=parse_digest, action="append", default=[], metavar="DIGEST",
        help="that this checkpoint, known from the log (`audit.sealed`), is in the chain; may be given again",
    )  # fmt: skip
    check.add_argument(
        "--after-segment", type=parse_number(_MOST_SEGMENTS), default=0, metavar="N",
        help="go on behind segment N, which does not hold as you know",
    )  # fmt: skip
    check.add_argument(
        "--public-key", type=Path, metavar="FILE", help="believe these keys, not the configured ones"
    )
    export.add_argument(
        "-o", dest="file", type=Path, metavar="FILE", help="write to FILE, not to standard output"
    )
    _add(family, "seal", audit.seal, "seal what is settled, as the schedulers do each minute")
    keyed = _add_family(family, "key", "the key that seals the trail")
    generate = _add(
        keyed, "generate", audit.generate_key, "make a fresh key, which goes on trusting the present ones"
    )
    generate.add_argument(
        "--into", type=Path, required=True, metavar="FILE", help="create FILE, for its owner alone"
    )
    _add(keyed, "show", audit.show_key, "print the public keys, for whoever checks the trail elsewhere")


def _add_consumers(verbs: argparse._SubParsersAction[_Parser]) -> None:
    family = _add_family(verbs, "consumer", "the logins of services that read a tenant's graph by SQL")
    grant = _add(family, "grant", consumers.grant, "let a login read a tenant's graph and ask for its runs")
    revoke = _add(family, "revoke", consumers.revoke, "take that away again")
    for parser in (grant, revoke):
        parser.add_argument("login", metavar="LOGIN", help="a login that is there in the database")
        parser.add_argument("name", metavar="NAME", nargs="?", help="the tenant")
        parser.add_argument(
            "--requester", action="store_true", help="instead of a tenant: ask for runs of any, and read none"
        )
    _add(family, "list", consumers.list_all, "list who reads which tenant, and who are requesters")
