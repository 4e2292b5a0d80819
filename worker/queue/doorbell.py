"""Dramatiq over Redis, used for one thing: waking a worker with a run's id.

A message lost, doubled or late changes nothing: the claim in PostgreSQL decides, and the scheduler rings
again. So there is no middleware, no retry, no delay and no result, and a job that fails has said so in its row
before it returns. `dramatiq.Worker` is embedded: its command line forks, and signals are ours.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from jobs.errors import InvalidSetting, QueueAway
from worker.settings import variable_of

_QUEUE = "runs"
_ACTOR = "sync_run"
_NAMESPACE = "zaptik"
_CHECKED = f"{_NAMESPACE}:checked"
_CHECKED_SECONDS = 60
_CONNECT_SECONDS = 5
_HEARTBEAT_MILLISECONDS = 30_000
_DEAD_MESSAGE_MILLISECONDS = 3_600_000
_IDLE_MILLISECONDS = 500
_CLOSING_MILLISECONDS = 2_000  # for those that fetch messages: they look up after each idle wait
_SCANNED = 500  # messages looked at in one call


@dataclass(frozen=True, slots=True, repr=False)
class Answering:
    """Worker threads that answer the bell, until `stop`."""

    _worker: dramatiq.Worker

    def __repr__(self) -> str:
        return f"<Answering on {self._worker.worker_threads} threads>"

    def stop(self, *, within_seconds: float) -> bool:
        """Take nothing new and wait for what is in hand; False when it was not done in time.

        Threads are waited for by our own clock: Dramatiq 2.2 takes from the time of the third what the first took
        twice, and so leaves some that would have been done at half the time.
        """
        until = time.monotonic() + within_seconds
        for thread in self._worker.workers:
            thread.stop()
        for thread in self._worker.workers:
            thread.join(max(0.0, until - time.monotonic()))
        done = not any(thread.is_alive() for thread in self._worker.workers)
        self._worker.stop(timeout=_CLOSING_MILLISECONDS)
        return done


class Doorbell:
    """One connection to Redis, for ringing or for answering."""

    def __init__(self, url: str, *, ca_file: Path | None = None) -> None:
        if ca_file is not None and not ca_file.is_file():
            raise InvalidSetting(f"{variable_of('redis_ca_file')} names {ca_file}, which is no file")
        options: dict[str, object] = {}
        if url.startswith("rediss:"):
            options = {
                "ssl_min_version": ssl.TLSVersion.TLSv1_2,
                "ssl_ca_certs": str(ca_file) if ca_file else None,
            }
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_CONNECT_SECONDS,
            health_check_interval=30,
            **options,
        )
        self._broker: dramatiq.Broker = RedisBroker(  # type: ignore[no-untyped-call]
            client=self._client,
            middleware=[],
            namespace=_NAMESPACE,
            heartbeat_timeout=_HEARTBEAT_MILLISECONDS,
            dead_message_ttl=_DEAD_MESSAGE_MILLISECONDS,
        )
        self._broker.declare_queue(_QUEUE)

    def __repr__(self) -> str:
        return f"<Doorbell {_NAMESPACE}:{_QUEUE}>"

    def check(self) -> None:
        """Raise QueueAway unless Redis takes what is written: one that is full answers a PING all the same."""
        try:
            self._client.set(_CHECKED, "", ex=_CHECKED_SECONDS)
        except redis.RedisError as error:
            raise _away(error) from None

    def ring(self, run_id: UUID) -> None:
        """Say that a run waits; QueueAway when it could not be said."""
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=_QUEUE, actor_name=_ACTOR, args=(str(run_id),), kwargs={}, options={}
        )
        try:
            self._broker.enqueue(message)
        except redis.RedisError as error:
            raise _away(error) from None

    def forget(self, run_ids: Collection[UUID]) -> int:
        """Take what was rung for these runs out of Redis; gives how many messages. QueueAway when it could not be."""
        known = {str(run_id) for run_id in run_ids}
        queue = f"{_NAMESPACE}:{_QUEUE}"
        try:
            return self._forget_in(queue, known) + self._forget_in(f"{queue}.XQ", known)
        except redis.RedisError as error:
            raise _away(error) from None

    def _forget_in(self, queue: str, run_ids: Collection[str]) -> int:
        """Forget in one of Dramatiq's queues: a list of messages' ids, of dead ones a set, and a hash of them."""
        messages = f"{queue}.msgs"
        forgotten = 0
        for message_id, encoded in self._client.hscan_iter(messages, count=_SCANNED):
            if dramatiq.Message.decode(encoded).args[0] not in run_ids:
                continue
            if queue.endswith(".XQ"):
                self._client.zrem(queue, message_id)
            else:
                self._client.lrem(queue, 0, message_id)
            forgotten += self._client.hdel(messages, message_id)
        return forgotten

    def answer(self, work: Callable[[UUID], None], *, threads: int) -> Answering:
        """Call `work` with each run's id, on so many threads; it must not raise."""
        # Declared here and not at import, as Dramatiq has it: its broker would be a global one.
        declare = dramatiq.actor(actor_name=_ACTOR, queue_name=_QUEUE, broker=self._broker)
        declare(lambda run_id: work(UUID(run_id)))
        worker = dramatiq.Worker(self._broker, worker_threads=threads, worker_timeout=_IDLE_MILLISECONDS)
        # No more in hand than can be worked on: what waits here another worker could have taken.
        worker.queue_prefetch = threads
        worker.start()
        return Answering(worker)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _away(error: redis.RedisError) -> QueueAway:
    # By the very type: AuthenticationError, say, is a ConnectionError too in redis-py.
    reason = {
        redis.AuthenticationError: "it refused the user or the password",
        redis.TimeoutError: "it did not answer in time",
        redis.ConnectionError: "no connection, or it was cut",
        redis.OutOfMemoryError: "it is full",
        redis.ReadOnlyError: "it is a replica, which takes no writes",
    }.get(type(error), type(error).__name__)
    if isinstance(error.__cause__ or error.__context__, socket.gaierror):
        reason = "its host's name leads nowhere"
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError) or "[SSL" in str(error):
        reason = "TLS could not be set up or its certificate not be verified"
    return QueueAway(
        f"Redis is away: {reason}. Check ZAPTIK_REDIS_URL, ZAPTIK_REDIS_CA_FILE and that the server runs."
    )
