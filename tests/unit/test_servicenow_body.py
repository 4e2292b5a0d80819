"""A body is read whole or refused, and never unpacked further than it may be long."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.servicenow.body import BodyRefused, read_body


def read(
    sent: bytes, *, encoding: str = "gzip", most_bytes: int = 10_000, chunk_bytes: int = 64_000
) -> bytes:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), chunk_bytes):
            yield sent[start : start + chunk_bytes]

    return asyncio.run(read_body(chunks(), encoding=encoding, most_bytes=most_bytes))


@given(
    st.binary(max_size=2_000),
    st.integers(1, 300),
    st.sampled_from(["gzip", "GZIP", "x-gzip", "identity", ""]),
)
def test_a_body_comes_back_as_it_was_in_whatever_pieces(body: bytes, chunk_bytes: int, encoding: str) -> None:
    sent = gzip.compress(body) if "gzip" in encoding.lower() else body
    assert read(sent, encoding=encoding, chunk_bytes=chunk_bytes, most_bytes=len(body)) == body


@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 300), st.booleans())
def test_one_byte_too_many_is_refused(body: bytes, chunk_bytes: int, packed: bool) -> None:  # noqa: FBT001
    sent, encoding = (gzip.compress(body), "gzip") if packed else (body, "")
    with pytest.raises(BodyRefused, match="longer than"):
        read(sent, encoding=encoding, chunk_bytes=chunk_bytes, most_bytes=len(body) - 1)


def test_what_would_unpack_to_much_is_not_unpacked() -> None:
    sent = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BodyRefused, match="longer than"):
            read(sent)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize("cut", [1, 5, 8, 9, 15])
def test_a_cut_gzip_is_refused(cut: int) -> None:
    with pytest.raises(BodyRefused, match="middle of its gzip"):
        read(gzip.compress(b"[" + b"1," * 500)[:-cut])


def test_an_empty_body_is_empty_however_it_says_it_is_packed() -> None:
    assert read(b"") == b""


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_a_packing_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(BodyRefused, match="not asked for"):
        read(b"x", encoding=encoding)


@pytest.mark.parametrize("chunk_bytes", [1, 33, 64_000])
def test_what_comes_after_the_end_of_the_gzip_is_refused_at_once(chunk_bytes: int) -> None:
    with pytest.raises(BodyRefused, match="goes on after the end"):
        read(gzip.compress(b'{"result":[]}') + b"x" * 100_000, chunk_bytes=chunk_bytes)
