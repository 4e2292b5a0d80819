"""What both processes are: logged, measured, on the list of processes, and stopped by a signal.

A process starts in this order: logs, `/metrics`, then what it depends on. PostgreSQL or Redis being away is waited
for; a database that is not migrated or not safe, or a missing key, ends it with a message.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Literal, TypeVar
from uuid import uuid4

import worker
from jobs.errors import DatabaseAway, Failure, QueueAway
from jobs.events import (
    DEPENDENCY_AWAY,
    DEPENDENCY_BACK,
    GAP_ACCEPTED,
    METRICS_LISTENING,
    PROCESS_STARTED,
    PROCESS_STOPPED,
    PROCESS_STOPPING,
    Event,
    EventKind,
)
from jobs.gaps import GAPS
from worker.postgres import reading
from worker.postgres.connection import Connection, open_connection
from worker.postgres.safety import check_database
from worker.queue import Doorbell
from worker.settings import Settings
from worker.telemetry import Health, Metrics, MetricsServer, configure_logs, log_event, tell_strays

Kind = Literal["worker", "scheduler"]
T = TypeVar("T")

REPORT_SECONDS = 15
_PORTS: dict[Kind, int] = {"worker": 9191, "scheduler": 9190}
_TELL_AGAIN_SECONDS = 60.0
_LEAST_PAUSE_SECONDS = 0.1
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 15.0


class Process:
    """One running process: its settings, its health, its metrics, and whether it was asked to stop.

    `read_key_ids` names the keys that it holds, for its row on the list of processes.
    """

    def __init__(
        self,
        kind: Kind,
        settings: Settings,
        *,
        threads: int,
        read_key_ids: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.kind = kind
        self._read_key_ids = read_key_ids
        self.settings = settings
        self.health = Health()
        self.metrics = Metrics(version=worker.__version__, process=kind)
        self.stopping = threading.Event()
        self._awake = threading.Event()
        self.doorbell = Doorbell(settings.require_redis_url(), ca_file=settings.redis_ca_file)
        settings.require_database_url()  # asked for again each time: no attribute holds the password in clear
        self._signal = ""
        self._away: dict[str, float] = {}
        self.drained = True
        self.self_description = reading.Process(
            uuid4(), kind, socket.gethostname(), os.getpid(), worker.__version__, threads
        )

    def __repr__(self) -> str:
        return f"<Process {self.kind} {self.self_description.process_id}, {self.health}>"

    @property
    def name(self) -> str:
        """Name this process in rows and logs."""
        described = self.self_description
        return f"{described.host}/{described.pid}/{described.process_id}"

    def emit(self, event: Event) -> None:
        """Send an event to the log and to the metrics."""
        if event.kind is DEPENDENCY_AWAY:
            # A slice says so too, and whatever is told to be away is told to be back.
            self._away[str(event.fields["dependency"])] = time.monotonic()
        log_event(event)
        self.metrics.observe(event)

    def wake(self) -> None:
        """End the pause."""
        self._awake.set()

    def pause(self, seconds: float) -> None:
        """Wait until woken or asked to stop, so long at most; a moment in any case, however often it is woken."""
        if not self.stopping.wait(min(seconds, _LEAST_PAUSE_SECONDS)):
            self._awake.wait(max(0.0, seconds - _LEAST_PAUSE_SECONDS))
            self._awake.clear()

    def tell(self, kind: EventKind, **fields: object) -> None:
        """Emit an event of the process itself."""
        self.emit(Event(kind, fields))

    def ask(self, question: Callable[[Connection], Awaitable[T]], *, purpose: str) -> T:
        """Ask the database something on a short connection of its own."""

        async def asked() -> T:
            async with open_connection(self.settings.require_database_url(), purpose=purpose) as connection:
                return await question(connection)

        # A loop and a connection for each question: rounds are seconds apart, and a backend that is kept keeps what
        # it has read of every tenant's catalogue in memory.
        return asyncio.run(asked())

    def report(self) -> None:
        """Say on the list of processes that this one lives; raises where PostgreSQL is away."""
        key_ids = self._read_key_ids() if self._read_key_ids else None
        described = replace(self.self_description, key_ids=key_ids)
        self.ask(lambda connection: reading.report_process(connection, described), purpose="report")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be a process: from the first signal handler to the last log line."""
        configure_logs(form=self.settings.log_format, level=self.settings.log_level)
        tell_strays(self.emit)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Before the server listens: what is told to stop while it starts drains too.
            signal.signal(number, self._ask_to_stop)
        host, port = self.settings.metrics_host, self.settings.metrics_port
        port = _PORTS[self.kind] if port is None else port
        with MetricsServer(self.metrics.registry, self.health, host=host, port=port) as server:
            self.tell(METRICS_LISTENING, host=server.host, port=server.port)
            try:
                yield
            finally:
                self.health.become_unready("stopped")
                with suppress(Failure):
                    process_id = self.self_description.process_id
                    self.ask(lambda asked: reading.forget_process(asked, process_id), purpose="report")
                self.doorbell.close()
                self.tell(PROCESS_STOPPED, process=self.kind, drained=self.drained)

    def wait_for_dependencies(self, *checks: Callable[[Connection], Awaitable[None]]) -> bool:
        """Wait until PostgreSQL and Redis answer and are as they must be; False when asked to stop before.

        `checks` are further questions to the database. What waiting cannot mend is raised.
        """
        wait_seconds = _FIRST_WAIT_SECONDS
        while not self.stopping.is_set():
            try:
                gaps = self.ask(
                    lambda connection: check_database(connection, accepted_gaps=self.settings.accepted_gaps),
                    purpose="check",
                )
                for check in checks:
                    self.ask(check, purpose="check")
                self.report()
                self.doorbell.check()
            except (DatabaseAway, QueueAway) as away:
                self.tell_away(away)
                self.stopping.wait(wait_seconds)
                wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
            else:
                self.become_ready()
                for gap in gaps:
                    self.tell(GAP_ACCEPTED, gap=gap, leaves=GAPS[gap])
                described = self.self_description
                self.tell(PROCESS_STARTED, process=self.kind, version=described.version, pid=described.pid)
                return True
        return False

    def become_ready(self) -> None:
        """Say that work may come, unless the process is stopping, and what has come back."""
        while self._away:
            dependency, _ = self._away.popitem()  # one by one: a slice may add another meanwhile
            self.tell(DEPENDENCY_BACK, dependency=dependency)
        if not self.stopping.is_set():
            self.health.become_ready()

    def tell_away(self, away: Failure) -> None:
        """Say that a dependency does not answer, once a minute, and that no work may come until it does."""
        self.health.become_unready(away.message)
        dependency = "Redis" if isinstance(away, QueueAway) else "PostgreSQL"
        now = time.monotonic()
        # By when it was last told: a slice that met the same has told it, and `emit` has noted it.
        if now - self._away.get(dependency, -_TELL_AGAIN_SECONDS) >= _TELL_AGAIN_SECONDS:
            self.tell(DEPENDENCY_AWAY, dependency=dependency, error=away.message)

    def tell_stopping(self) -> None:
        """Say that the process drains."""
        self.health.become_unready("stopping")
        self.tell(PROCESS_STOPPING, process=self.kind, signal=self._signal)

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        """Drain on the first signal; the second ends the process at once."""
        self._signal = signal.Signals(number).name
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, signal.SIG_DFL)
        # Not here: this has interrupted the main thread, which may hold the very lock that setting an Event takes.
        _thread.start_new_thread(self._stop, ())

    def _stop(self) -> None:
        self.stopping.set()
        self.wake()
