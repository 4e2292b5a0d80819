"""The whole of it on one machine: both servers, the simulated instances, a scheduler and two workers.

Every program gets a minimal environment and what it needs: the superuser's address goes to the commands that
set up, never to a worker or the scheduler. `start` is the order in which a deployment is made.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ops.local.account import make_private_folder
from ops.local.certificates import Certificates, write_certificates
from ops.local.commands import run_command
from ops.local.failure import StepFailure
from ops.local.instance import Instance, Tenant
from ops.local.postgres import EmbeddedPostgres
from ops.local.processes import Child, build_minimal_environment
from ops.local.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

ROOT = Path(__file__).parents[2]
ZAPTIK = Path(sys.executable).parent / "zaptik"
TENANTS = (
    Tenant("acme", groups=60, items=300, seed=1),
    Tenant("globex-prod", groups=40, items=120, seed=2),
)
PROCESSES = ("scheduler", "worker-1", "worker-2")
DATABASE = "zaptik"
EVERY = "1h"
MADE_A_SECOND = 200  # groups and items, with all that belongs to them, on a machine that is busy


class Stack:
    """Everything, from `start` (or `with`) to `stop`, which removes all but the logs.

    `say` is told each step as it begins; `overrides` are settings that differ from the stack's own, and
    `further_hosts` are allowed beside the simulators. `processes` are named `scheduler` or `worker-N`; they die
    with us unless they `outlive` us. `server_settings` are PostgreSQL's.
    """

    def __init__(
        self,
        *,
        logs: Path,
        tenants: Sequence[Tenant] = TENANTS,
        outlives: bool = False,
        say: Callable[[str], None] = lambda _: None,
        overrides: Mapping[str, str] | None = None,
        further_hosts: Sequence[str] = (),
        processes: Sequence[str] = PROCESSES,
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.logs = logs
        self._overrides = dict(overrides or {})
        self._further_hosts = tuple(further_hosts)
        self._process_names = tuple(processes)
        self.instances: dict[str, Instance] = {}
        self.children: list[Child] = []
        self._processes: list[Child] = []  # the children that are not servers
        self.metrics_ports: dict[str, int] = {}
        self._tenants = tuple(tenants)
        self._outlives = outlives
        self._say = say
        self.postgres = EmbeddedPostgres(settings=server_settings, outlives=outlives)
        self.valkey = EmbeddedValkey(outlives=outlives)
        self._app_password = secrets.token_urlsafe(24)
        self._control_token = secrets.token_urlsafe(24)
        self.client_secrets = {tenant.name: secrets.token_urlsafe(24) for tenant in self._tenants}
        self._cleanups = ExitStack()
        self._folder: Path | None = None
        self._certificates: Certificates | None = None

    def __repr__(self) -> str:
        names = ", ".join(tenant.name for tenant in self._tenants)
        return f"<Stack of {names}: {len(self.children)} processes, {self.postgres}, {self.valkey}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def folders(self) -> list[Path]:
        """The private folders that `stop` removes."""
        return [self.folder, self.postgres.folder, self.valkey.folder]

    @property
    def folder(self) -> Path:
        """The private folder of certificates and keys."""
        if self._folder is None:
            raise StepFailure("the stack", "is not started")
        return self._folder

    @property
    def control_token(self) -> str:
        """What the simulators' control API wants as X-Simulator-Token."""
        return self._control_token

    def client_id(self, tenant: str) -> str:
        """Give the OAuth client id that a tenant's instance knows; its secret is in `client_secrets`."""
        return f"{tenant}-client"

    def start(self) -> None:
        """Start everything and add the tenants; a failure stops what was started."""
        try:
            self._make_folder()
            self._start_servers()
            self._start_instances()
            self._prepare()
            self._add_tenants()
            self._start_processes()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in the reverse order; no-op where nothing runs."""
        for child in self._processes:  # all are asked before the first is waited for
            child.send(signal.SIGTERM)
        self._processes.clear()
        self._cleanups.close()
        self.children.clear()
        self.instances.clear()
        self._folder = None

    def settings(self) -> dict[str, str]:
        """Give the variables of a worker or the scheduler."""
        certificates = self._written()
        own = f"postgresql://zaptik_app:{self._app_password}@127.0.0.1:{self.postgres.port}/{DATABASE}"
        hosts = (
            *(f"127.0.0.1:{instance.port}" for instance in self.instances.values()),
            *self._further_hosts,
        )
        return {
            "ZAPTIK_DATABASE_URL": own,
            "ZAPTIK_REDIS_URL": self.valkey.url(),
            "ZAPTIK_KEYRING_FILE": str(self.folder / "keyring.json"),
            "ZAPTIK_AUDIT_KEY_FILE": str(self.folder / "audit.json"),
            "ZAPTIK_INSTANCE_HOSTS": ",".join(hosts),
            "ZAPTIK_CA_FILE": str(certificates.ca_file),
            "ZAPTIK_METRICS_PORT": "0",
            "ZAPTIK_WORKER_THREADS": "2",
            "ZAPTIK_SCHEDULER_TICK_SECONDS": "1",
            **self._overrides,
        }

    def admin_settings(self) -> dict[str, str]:
        """Give the variables of the commands that set up: also the superuser's address."""
        return {**self.settings(), "ZAPTIK_ADMIN_DATABASE_URL": self.admin_database_url(DATABASE)}

    def admin_database_url(self, database: str) -> str:
        """Give the superuser's address of a database."""
        return self.postgres.admin_url(database)

    def run_zaptik(
        self,
        *arguments: str,
        admin: bool = False,
        given: str = "",
        accepted: Collection[int] = (0,),
        deadline_seconds: float = 60,
    ) -> dict[str, Any]:
        """Run `zaptik … --json` and give its document; other exit codes than `accepted` are a failure."""
        step = f"zaptik {' '.join(arguments)}"
        finished = run_command(
            step,
            [ZAPTIK, *arguments, "--json"],
            log_file=self.logs / "commands.log",
            environment=build_minimal_environment(**(self.admin_settings() if admin else self.settings())),
            folder=ROOT,
            given=given,
            accepted=accepted,
            deadline_seconds=deadline_seconds,
        )
        try:
            document: dict[str, Any] = json.loads(finished.output)
        except json.JSONDecodeError as error:
            raise StepFailure(step, f"printed no JSON document: {finished.output[:200]!r}") from error
        return document

    def start_process(self, name: str, *command: str | Path, environment: Mapping[str, str]) -> Child:
        """Start one more process of the stack, stopped with it; `name` names its log."""
        child = Child(
            name,
            command,
            log_file=self.logs / f"{name}.log",
            environment=build_minimal_environment(**environment),
            folder=ROOT,
            outlives=self._outlives,
        )
        self._cleanups.callback(child.stop)
        self.children.append(child)
        self._processes.append(child)
        child.start()
        return child

    def _make_folder(self) -> None:
        self._folder = make_private_folder("zaptik-stack-")
        self._cleanups.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._certificates = write_certificates(self._folder)

    def _start_servers(self) -> None:
        self._say("starting PostgreSQL and Valkey")
        for server in (self.postgres, self.valkey):
            self._cleanups.callback(server.stop)
            server.start()
            self.children.append(server.child)
        self.postgres.create_database(DATABASE)

    def _start_instances(self) -> None:
        self._say(f"starting {len(self._tenants)} simulated instances")
        started = [(tenant, self._start_simulator(tenant)) for tenant in self._tenants]
        for tenant, child in started:
            making_seconds = (tenant.groups + tenant.items) / MADE_A_SECOND
            said = child.wait_for_event("simulator.listening", deadline_seconds=30 + making_seconds)
            self.instances[tenant.name] = Instance(
                tenant=tenant,
                url=said["url"],
                port=said["port"],
                control_token=self._control_token,
                ca_file=self._written().ca_file,
            )

    def _start_simulator(self, tenant: Tenant) -> Child:
        certificates = self._written()
        served = ["--cert", str(certificates.cert_file), "--key", str(certificates.key_file), "--port", "0"]
        holding = ["--seed", str(tenant.seed), "--groups", str(tenant.groups), "--items", str(tenant.items)]
        if tenant.records is not None:
            holding = ["--records", str(tenant.records)]
        options = [*served, *holding, "--client-id", self.client_id(tenant.name)]
        return self.start_process(
            f"simulator-{tenant.name}",
            sys.executable,
            *["-m", "ops.simulator"],
            *options,
            environment={
                "SIMULATOR_CLIENT_SECRET": self.client_secrets[tenant.name],
                "SIMULATOR_CONTROL_TOKEN": self._control_token,
            },
        )

    def _prepare(self) -> None:
        self._say("making keys and the control schema")
        self.run_zaptik("keys", "generate", "--into", self.settings()["ZAPTIK_KEYRING_FILE"], admin=True)
        self.run_zaptik(
            "audit", "key", "generate", "--into", self.settings()["ZAPTIK_AUDIT_KEY_FILE"], admin=True
        )
        self.run_zaptik("migrate", admin=True)

    def _add_tenants(self) -> None:
        for tenant in self._tenants:
            self._say(f"adding tenant {tenant.name}")
            url = self.instances[tenant.name].url
            self.run_zaptik("tenant", "add", tenant.name, "--url", url, "--every", EVERY, admin=True)
            client = ["--client-id", self.client_id(tenant.name), "--client-secret-stdin"]
            secret = self.client_secrets[tenant.name]
            self.run_zaptik("credential", "set", tenant.name, *client, admin=True, given=secret)

    def _start_processes(self) -> None:
        if self._process_names:
            self._say(f"starting {', '.join(self._process_names)}")
        started = [
            self.start_process(name, ZAPTIK, kind, environment=self._settings_of(kind))
            for name in self._process_names
            for kind in [name.partition("-")[0]]
        ]
        for child in started:
            self.metrics_ports[child.name] = child.wait_for_event("metrics.listening")["port"]

    def _settings_of(self, kind: str) -> dict[str, str]:
        """Give the variables of a process: who seals the audit trail reads no instance, and the other way round."""
        withheld = {"worker": "ZAPTIK_AUDIT_KEY_FILE", "scheduler": "ZAPTIK_KEYRING_FILE"}[kind]
        return {name: value for name, value in self.settings().items() if name != withheld}

    def _written(self) -> Certificates:
        if self._certificates is None:
            raise StepFailure("the stack", "is not started")
        return self._certificates
