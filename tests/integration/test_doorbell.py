"""The doorbell on a real server: each ring is heard, a lost Redis is told, and nothing but ids is in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis

from jobs.errors import InvalidSetting, QueueAway
from ops.local.valkey import EmbeddedValkey
from worker.queue import Doorbell

At = Callable[[str], Doorbell]


@pytest.fixture
def at() -> Iterator[At]:
    """Give what opens doorbells; they are closed at the end, when nobody answers them any more."""
    with ExitStack() as opened:
        yield lambda url: opened.enter_context(closing(Doorbell(url)))


@pytest.fixture
def url(queue_server: str) -> str:
    with redis.Redis.from_url(queue_server) as client:
        client.flushall()
    return queue_server


class Heard:
    """What was heard, and a way to wait for it."""

    def __init__(self, *, expected: int) -> None:
        self.ids: list[UUID] = []
        self._expected = expected
        self._lock = threading.Lock()
        self._all = threading.Event()

    def hear(self, run_id: UUID) -> None:
        with self._lock:
            self.ids.append(run_id)
            if len(self.ids) >= self._expected:
                self._all.set()

    def wait(self) -> set[UUID]:
        assert self._all.wait(30)
        return set(self.ids)


def test_every_ring_is_heard_once(url: str, at: At) -> None:
    rung = {uuid4() for _ in range(40)}
    ringing, answering = at(url), at(url)
    heard = Heard(expected=len(rung))
    worker = answering.answer(heard.hear, threads=3)
    try:
        for run_id in rung:
            ringing.ring(run_id)
        assert heard.wait() == rung
    finally:
        assert worker.stop(within_seconds=10)
    assert len(heard.ids) == len(rung)


def test_what_is_in_redis_is_the_runs_id_and_nothing_else(url: str, at: At) -> None:
    doorbell, run_id = at(url), uuid4()
    doorbell.ring(run_id)
    with redis.Redis.from_url(url, decode_responses=True) as client:
        [message] = client.hgetall("zaptik:runs.msgs").values()
    assert f'"args":["{run_id}"],"kwargs":{{}}' in message
    assert message.count(str(run_id)) == 1


def test_a_redis_that_is_full_is_away_though_it_answers(url: str, at: At) -> None:
    doorbell = at(url)
    doorbell.check()
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", 1)
        try:
            assert client.ping()
            with pytest.raises(QueueAway, match="Redis is away: it is full"):
                doorbell.check()
        finally:
            client.config_set("maxmemory", 0)
    doorbell.check()


def test_a_stopping_worker_finishes_what_it_has_in_hand(url: str, at: At) -> None:
    doorbell = at(url)
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work(_: UUID) -> None:
        began.set()
        may_end.wait(30)
        ended.set()

    worker = doorbell.answer(work, threads=1)
    doorbell.ring(uuid4())
    assert began.wait(30)
    threading.Timer(0.2, may_end.set).start()
    assert worker.stop(within_seconds=20)
    assert ended.is_set()


def test_each_thread_has_the_whole_time_to_end(url: str, at: At) -> None:
    """Dramatiq's own wait has none left for the third thread once the first two took half of it."""
    doorbell, seconds, threads = at(url), 4.0, 4
    all_began, stopping, ended = threading.Barrier(threads + 1), threading.Event(), Heard(expected=threads)
    began: list[int] = []

    def work(run_id: UUID) -> None:
        began.append(threading.get_native_id())
        all_began.wait(30)
        stopping.wait(30)
        place = sorted(began).index(threading.get_native_id())  # who was made first, ends first
        time.sleep(0.55 * seconds + 0.2 * place)
        ended.hear(run_id)

    worker = doorbell.answer(work, threads=threads)
    rung = {uuid4() for _ in range(threads)}
    for run_id in rung:
        doorbell.ring(run_id)
    all_began.wait(30)
    stopping.set()
    assert worker.stop(within_seconds=seconds)
    assert set(ended.ids) == rung


def test_work_that_does_not_end_in_time_is_told(url: str, at: At) -> None:
    doorbell = at(url)
    began, may_end = threading.Event(), threading.Event()

    def work(_: UUID) -> None:
        began.set()
        may_end.wait(30)

    worker = doorbell.answer(work, threads=1)
    doorbell.ring(uuid4())
    assert began.wait(30)
    assert not worker.stop(within_seconds=0.1)
    may_end.set()
    assert worker.stop(within_seconds=20)


def test_a_redis_whose_name_leads_nowhere_says_so(at: At) -> None:
    with pytest.raises(QueueAway, match="its host's name leads nowhere"):
        at("rediss://redis.invalid:6379/0").check()


def test_a_ring_without_redis_says_that_it_is_away_without_the_password(at: At) -> None:
    doorbell = at("redis://:secret-word@127.0.0.1:1/0")
    for ask in (doorbell.check, lambda: doorbell.ring(uuid4())):
        with pytest.raises(QueueAway, match="ZAPTIK_REDIS_URL") as raised:
            ask()
        assert "secret-word" not in str(raised.value)


def test_a_wrong_password_is_told_as_such(queue_server: str, at: At) -> None:
    doorbell = at(f"redis://:wrong@127.0.0.1:{urlsplit(queue_server).port}/0")
    with pytest.raises(QueueAway, match="refused the user or the password"):
        doorbell.check()


def test_a_missing_file_of_authorities_names_the_setting() -> None:
    with pytest.raises(InvalidSetting, match="ZAPTIK_REDIS_CA_FILE"):
        Doorbell("rediss://redis.example/0", ca_file=Path("/nonexistent.pem"))


def test_a_worker_hears_again_after_redis_was_gone(at: At) -> None:
    """On a server of its own: a worker of another test may put back, when Redis is there again, what it had in hand."""
    heard = Heard(expected=1)
    with EmbeddedValkey() as server:
        answering = at(server.url())
        worker = answering.answer(heard.hear, threads=1)
        try:
            server.kill()
            with pytest.raises(QueueAway):
                at(server.url()).ring(uuid4())
            server.restart()
            run_id = uuid4()
            at(server.url()).ring(run_id)
            assert heard.wait() == {run_id}
        finally:
            worker.stop(within_seconds=10)
