"""No setting makes a client talk in clear to another machine, however its URL is written."""

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from redis.connection import parse_url

from jobs.errors import InvalidSetting
from worker.settings import read_settings

LOCAL_DATABASES = [
    "postgresql://zaptik_app:pw@localhost:5432/zaptik",
    "postgres://zaptik_app@127.0.0.1/zaptik",
    "postgres://127.200.0.9/zaptik",
    "postgresql://u:p%40w@[::1]:5432/zaptik",
    "postgresql:///zaptik?host=/var/run/postgresql",
    "postgresql:///zaptik?host=%2Fvar%2Frun%2Fpostgresql&port=5433",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/zaptik",
    "postgresql://localhost:1,127.0.0.1:2,[::1]:3/zaptik?sslmode=disable",
]
VERIFIED_DATABASES = [
    "postgresql://u:p@db.example.com/zaptik?sslmode=verify-full",
    "postgres://u:p@a.example.com:1,b.example.com:2/zaptik?sslmode=verify-full&sslrootcert=/ca.pem",
]
OPEN_DATABASES = [
    "postgresql://db.example.com/zaptik",
    "postgresql://db.example.com/zaptik?sslmode=require",
    "postgresql://db.example.com/zaptik?sslmode=verify-ca",
    "postgresql://db.example.com/zaptik?sslmode=verify-full&sslmode=disable",
    "postgresql://db.example.com/zaptik?sslmode=verify-full&ssl=true",
    "postgresql://localhost,db.example.com/zaptik",
    "postgresql://localhost/zaptik?host=db.example.com",
    "postgresql://localhost/zaptik?host=localhost,db.example.com",
    "postgresql://localhost/zaptik?hostaddr=192.0.2.1",
    "postgresql://localhost.example.com/zaptik",
    "postgresql://127.0.0.1.example.com/zaptik",
    "postgresql://10.0.0.1/zaptik",
    "postgresql://%2Frun%2Cdb.example.com/zaptik",
    "postgresql://[::2]/zaptik",
    "postgresql:///zaptik",
    "postgresql://localhost:p?x@db.example.com/zaptik",
    "postgresql://localhost#@db.example.com/zaptik",
    "postgresql://localhost@db.example.com@localhost/zaptik",
    "postgresql://db.example.com\t@localhost/zaptik",
    "host=db.example.com dbname=zaptik",
    "mysql://localhost/zaptik",
]


@pytest.mark.parametrize("url", LOCAL_DATABASES + VERIFIED_DATABASES)
@pytest.mark.parametrize("field", ["database_url", "admin_database_url"])
def test_a_local_or_verified_database_is_taken_as_written(field: str, url: str) -> None:
    settings = read_settings({f"ZAPTIK_{field.upper()}": url})
    assert getattr(settings, f"require_{field}")() == url
    assert conninfo_to_dict(url), "libpq reads it too"


@pytest.mark.parametrize("url", OPEN_DATABASES)
@pytest.mark.parametrize("variable", ["ZAPTIK_DATABASE_URL", "ZAPTIK_ADMIN_DATABASE_URL"])
def test_a_database_elsewhere_without_verified_tls_is_refused(variable: str, url: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{variable}: write postgresql://.*sslmode=verify-full"):
        read_settings({variable: url})


def is_local(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# The strategy that found "/run%2C": pieces in which libpq, redis-py and urllib see different hosts.
PIECES = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "evil.example",
    "%2Frun",
    "user",
    "pw",
    ":",
    "@",
    "/",
    "?",
    "#",
    ",",
]
PIECES += [
    "host=",
    "hostaddr=",
    "&",
    "sslmode=disable",
    "sslmode=verify-full",
    "ssl=true",
    "%40",
    "%2C",
    ";",
    "\\",
]


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_what_is_accepted_in_clear_libpq_reads_as_local_too(tail: str) -> None:
    url = f"postgresql://{tail}"
    with contextlib.suppress(InvalidSetting, ProgrammingError):
        read_settings({"ZAPTIK_DATABASE_URL": url})
        understood = conninfo_to_dict(url)
        hosts = [*str(understood.get("host", "")).split(",")]
        hosts += str(understood["hostaddr"]).split(",") if "hostaddr" in understood else []
        assert understood.get("sslmode") == "verify-full" or all(map(is_local, hosts))


@pytest.mark.parametrize(
    "url",
    [
        "rediss://:pw@cache.example.com:6380/1",
        "redis://localhost:6379/0",
        "redis://:pw@127.0.0.1/0",
        "redis://[::1]:6379",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_redis_over_tls_or_on_this_machine_is_taken_as_written(url: str) -> None:
    assert read_settings({"ZAPTIK_REDIS_URL": url}).require_redis_url() == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache.example.com/0",
        "redis:///0?host=cache.example.com",
        "redis://localhost@cache.example.com/0",
        "redis://localhost#@cache.example.com/0",
        "rediss://cache.example.com/0?ssl_cert_reqs=none",
        "rediss://cache.example.com/0?ssl_check_hostname=false",
        "rediss://cache.example.com/0?ssl_min_version=768",
        "rediss://cache.example.com/0?ssl_ciphers=ALL:@SECLEVEL=0",
        "http://localhost",
        "localhost:6379",
    ],
)
def test_redis_elsewhere_without_verified_tls_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^ZAPTIK_REDIS_URL: (write rediss://|leave ssl_)"):
        read_settings({"ZAPTIK_REDIS_URL": url})


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_what_is_accepted_in_clear_the_redis_client_reads_as_local_too(tail: str) -> None:
    url = f"redis://{tail}"
    with contextlib.suppress(InvalidSetting, ValueError):
        read_settings({"ZAPTIK_REDIS_URL": url})
        assert is_local(parse_url(url)["host"])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "option",
    [
        "requiressl=0",
        "service=other",
        "sslkeylogfile=/tmp/keys",
        "options=-crole",
        "passfile=/x",
        "PORT=1",
        "ssl_min_protocol_version=TLSv1.1",
        "ssl_min_protocol_version=",
    ],
)
def test_an_option_that_could_loosen_the_connection_is_refused_by_name(option: str) -> None:
    url = f"postgresql://u:SECRET@db.example/zaptik?sslmode=verify-full&{option}"
    with pytest.raises(InvalidSetting, match=option.partition("=")[0]) as raised:
        read_settings({"ZAPTIK_DATABASE_URL": url})
    assert "SECRET" not in raised.value.message


@pytest.mark.parametrize("port", ["SECRETPW", "0", "65536", "", "-1"])
def test_a_port_that_is_none_is_refused_and_not_repeated(port: str) -> None:
    with pytest.raises(InvalidSetting, match="port") as raised:
        read_settings({"ZAPTIK_REDIS_URL": f"redis://127.0.0.1:{port}/0"})
    assert "SECRETPW" not in raised.value.message
