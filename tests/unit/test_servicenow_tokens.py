"""The store of tokens: one request for one token across tasks and threads, and a minute's margin."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Awaitable, Callable

import pytest

from jobs.errors import CredentialsRejected, InstanceThrottled
from worker.servicenow.tokens import Token, TokenStore

KEY = ("tenant-1", 1)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """Gives token after token, `lifetime` seconds each, and counts."""

    def __init__(self, lifetime: float = 1799) -> None:
        self.lifetime = lifetime
        self.asked = 0

    async def __call__(self) -> Token:
        self.asked += 1
        await asyncio.sleep(0)
        return Token(f"canary-{self.asked}", self.lifetime)


def obtain(store: TokenStore, endpoint: Callable[[], Awaitable[Token]]) -> Token:
    return asyncio.run(store.obtain(KEY, endpoint))


def test_a_token_is_kept_until_a_minute_before_its_end() -> None:
    clock, endpoint = Clock(), Endpoint(lifetime=1799)
    store = TokenStore(clock=clock)
    assert obtain(store, endpoint).text == "canary-1"
    clock.now += 1738
    assert obtain(store, endpoint).text == "canary-1"
    clock.now += 1
    assert obtain(store, endpoint).text == "canary-2"


def test_a_token_that_comes_with_less_than_a_minute_is_used_to_its_end() -> None:
    clock, endpoint = Clock(), Endpoint(lifetime=59)
    store = TokenStore(clock=clock)
    obtain(store, endpoint)
    clock.now += 58
    assert obtain(store, endpoint).text == "canary-1"
    clock.now += 1
    assert obtain(store, endpoint).text == "canary-2"


def test_a_token_is_measured_from_when_it_was_asked_for() -> None:
    clock = Clock()
    store = TokenStore(clock=clock)

    async def slow() -> Token:
        clock.now += 30
        return Token("slow", 100)

    obtain(store, slow)
    clock.now += 10
    assert obtain(store, Endpoint()).text == "canary-1"


def test_a_dropped_token_is_not_given_again_and_another_ones_drop_is_nothing() -> None:
    store, endpoint = TokenStore(), Endpoint()
    first = obtain(store, endpoint)
    store.drop(KEY, first)
    second = obtain(store, endpoint)
    store.drop(KEY, first)
    store.drop(("tenant-2", 1), second)
    assert (second.text, obtain(store, endpoint).text) == ("canary-2", "canary-2")


def test_a_token_that_was_asked_for_again_is_another_even_with_the_same_text() -> None:
    store, asked = TokenStore(), []

    async def same() -> Token:
        asked.append(1)
        return Token("canary", 1799)

    first = obtain(store, same)
    store.drop(KEY, first)
    second = obtain(store, same)
    store.drop(KEY, first)
    assert obtain(store, same) is second
    assert len(asked) == 2


def test_keys_have_their_own_tokens() -> None:
    store, endpoint = TokenStore(), Endpoint()

    async def main() -> list[str]:
        keys = [("tenant-1", 1), ("tenant-1", 2), ("tenant-2", 1)]
        return sorted([(await store.obtain(key, endpoint)).text for key in keys * 2])

    assert asyncio.run(main()) == sorted(["canary-1", "canary-2", "canary-3"] * 2)


def test_dead_tokens_are_forgotten() -> None:
    clock, endpoint = Clock(), Endpoint(lifetime=100)
    store = TokenStore(clock=clock)

    async def main() -> None:
        for number in range(50):
            await store.obtain((f"tenant-{number}", 1), endpoint)
            clock.now += 50

    asyncio.run(main())
    assert repr(store) == "<TokenStore tokens=2>"


def test_tasks_that_wait_share_one_request() -> None:
    store, endpoint = TokenStore(), Endpoint()

    async def main() -> set[str]:
        return {
            token.text for token in await asyncio.gather(*(store.obtain(KEY, endpoint) for _ in range(50)))
        }

    assert (asyncio.run(main()), endpoint.asked) == ({"canary-1"}, 1)


def test_threads_with_loops_of_their_own_share_one_request() -> None:
    store, waiting, release, asked = TokenStore(), threading.Barrier(5), threading.Event(), []

    async def held_up() -> Token:
        asked.append(1)
        await asyncio.to_thread(release.wait, 30)
        return Token("canary", 1799)

    given: list[str] = []

    def work() -> None:
        async def main() -> None:
            task = asyncio.create_task(store.obtain(KEY, held_up))
            await asyncio.sleep(0)  # it asks, or waits for who asks
            await asyncio.to_thread(waiting.wait, 30)
            given.append((await task).text)

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    waiting.wait(30)
    release.set()
    for thread in threads:
        thread.join(30)
    assert (given, asked) == (["canary"] * 4, [1])


def test_who_waits_fails_as_the_one_request_failed_with_an_exception_of_its_own() -> None:
    store, asked = TokenStore(), []

    async def throttled() -> Token:
        asked.append(1)
        await asyncio.sleep(0)
        raise InstanceThrottled("slower", after_seconds=7)

    async def main() -> list[Token | BaseException]:
        return await asyncio.gather(*(store.obtain(KEY, throttled) for _ in range(5)), return_exceptions=True)

    raised = asyncio.run(main())
    assert [(type(one), str(one), getattr(one, "after_seconds", None)) for one in raised] == [
        (InstanceThrottled, "slower", 7)
    ] * 5
    assert len({id(one) for one in raised}) == 5
    assert len(asked) == 1


def test_a_failure_is_not_remembered() -> None:
    store, endpoint = TokenStore(), Endpoint()

    async def rejected() -> Token:
        raise CredentialsRejected("no")

    with pytest.raises(CredentialsRejected):
        obtain(store, rejected)
    assert obtain(store, endpoint).text == "canary-1"


@pytest.mark.parametrize("end", ["cancelled", "failed in a way nobody foresaw"])
def test_who_waits_asks_in_place_of_one_that_was(end: str) -> None:
    store, endpoint = TokenStore(), Endpoint()

    async def ended() -> Token:
        if end == "cancelled":
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main() -> tuple[BaseException | Token, set[str]]:
        leader = asyncio.create_task(store.obtain(KEY, ended))
        await asyncio.sleep(0)
        waiters = [asyncio.create_task(store.obtain(KEY, endpoint)) for _ in range(3)]
        await asyncio.sleep(0)
        if end == "cancelled":
            leader.cancel()
        (outcome,) = await asyncio.gather(leader, return_exceptions=True)
        return outcome, {token.text for token in await asyncio.gather(*waiters)}

    outcome, texts = asyncio.run(main())
    assert isinstance(outcome, (asyncio.CancelledError, ZeroDivisionError))
    assert (texts, endpoint.asked) == ({"canary-1"}, 1)


def test_a_waiter_that_is_cancelled_leaves_the_request_alone() -> None:
    store, endpoint = TokenStore(), Endpoint()

    async def main() -> str:
        release = asyncio.Event()

        async def held_up() -> Token:
            await release.wait()
            return await endpoint()

        leader, *waiters = [asyncio.create_task(store.obtain(KEY, held_up)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.gather(waiters[0], return_exceptions=True)
        assert waiters[0].cancelled()
        release.set()
        assert await leader is await waiters[1]
        return leader.result().text

    assert (asyncio.run(main()), endpoint.asked) == ("canary-1", 1)


def test_no_token_is_shown_copied_or_pickled() -> None:
    store = TokenStore()
    token = obtain(store, Endpoint())
    assert not any(
        "canary" in text for text in (repr(token), str(token), f"{[token]}", repr(store), repr(vars(store)))
    )
    for secret in (token, store):
        for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                give_away(secret)
