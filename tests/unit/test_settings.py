"""Settings are read once, refuse what they cannot use with advice, and never repeat a value."""

import pickle
from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from jobs.errors import Failure, InvalidSetting, UnknownSetting
from worker.settings import FILED, Settings, describe_settings, file_variable_of, read_settings, variable_of

CANARY = "hunter2-canary"


def refuse(environ: Mapping[str, str], kind: type[Failure] = InvalidSetting) -> str:
    with pytest.raises(kind) as caught:
        read_settings(environ)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, (
        "pydantic's error holds the input and would be printed as context"
    )
    return str(caught.value)


def test_nothing_set_gives_the_defaults() -> None:
    settings = read_settings({"PATH": "/bin"})
    assert (settings.worker_threads, settings.slice_seconds, settings.lease_seconds) == (4, 120, 60)
    assert settings.metrics_port is None, "the process knows its own default port"
    assert settings.instance_hosts == ()


def test_variables_are_read_by_their_type() -> None:
    settings = read_settings(
        {"ZAPTIK_WORKER_THREADS": "2", "ZAPTIK_LEASE_SECONDS": "2.5", "ZAPTIK_LOG_FORMAT": "console"}
    )
    assert (settings.worker_threads, settings.lease_seconds, settings.log_format) == (2, 2.5, "console")


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = read_settings({"ZAPTIK_REDIS_URL": "", "ZAPTIK_WORKER_THREADS": " "})
    assert (settings.redis_url, settings.worker_threads) == (None, 4)


def test_only_the_mapping_given_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAPTIK_WORKER_THREADS", "9")
    assert read_settings({}).worker_threads == 4


def test_names_of_properties_are_read_as_a_list() -> None:
    settings = read_settings({"ZAPTIK_PROPERTY_NAMES": "x_acme.switch, glide.ui.theme\n x.y"})
    assert settings.property_names == ("x_acme.switch", "glide.ui.theme", "x.y")
    assert read_settings({}).property_names == ()


def test_gaps_are_accepted_by_their_names_alone() -> None:
    settings = read_settings({"ZAPTIK_ACCEPTED_GAPS": "usage:sql, execute:texts"})
    assert settings.accepted_gaps == ("usage:sql", "execute:texts")
    assert read_settings({}).accepted_gaps == ()
    for wrong in (f"usage:sql execute:{CANARY}", "usage:sql, *", "usage:sql all"):
        assert "name 2 is none of usage:plpgsql, " in refuse({"ZAPTIK_ACCEPTED_GAPS": wrong})


@pytest.mark.parametrize(
    "name",
    [f"{CANARY}.password", f"x.{CANARY}.token", f"{CANARY}_KEY", f"{CANARY}^ORnameISNOTEMPTY", f"{CANARY}%"],
)
def test_a_property_that_may_be_a_secret_is_refused_by_its_place_and_never_by_its_name(name: str) -> None:
    message = refuse({"ZAPTIK_PROPERTY_NAMES": f"x_acme.switch {name}"})
    assert message.startswith("ZAPTIK_PROPERTY_NAMES: name 2 ")
    assert "leave it out" in message
    assert CANARY not in message


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        read_settings({}).worker_threads = 9  # type: ignore[misc]


def test_an_unknown_variable_is_named_with_the_nearest_setting() -> None:
    message = refuse({"ZAPTIK_DATABSE_URL": CANARY}, UnknownSetting)
    assert message == "ZAPTIK_DATABSE_URL is no setting: did you mean ZAPTIK_DATABASE_URL?"


def test_an_unknown_variable_like_no_other_is_still_named() -> None:
    message = refuse({"ZAPTIK_QQQQ_WWWW_XXXX": CANARY}, UnknownSetting)
    assert message.startswith("ZAPTIK_QQQQ_WWWW_XXXX is no setting: unset it, or see")
    assert CANARY not in message


def test_variables_of_the_tests_and_of_others_are_left_alone() -> None:
    assert read_settings({"ZAPTIK_TEST_BACKEND": "x", "ZAPTIKAL": "x"}) == read_settings({})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZAPTIK_WORKER_THREADS", CANARY),
        ("ZAPTIK_WORKER_THREADS", "0"),
        ("ZAPTIK_LEASE_SECONDS", "inf"),
        ("ZAPTIK_LEASE_SECONDS", "nan"),
        ("ZAPTIK_LEASE_SECONDS", "0"),
        ("ZAPTIK_LOG_LEVEL", CANARY),
        ("ZAPTIK_METRICS_PORT", "65536"),
        ("ZAPTIK_DATABASE_URL", CANARY),
        ("ZAPTIK_DATABASE_URL", f"postgresql://zaptik:{CANARY}@db.example.com/zaptik"),
        ("ZAPTIK_REDIS_URL", f"redis://:{CANARY}@cache.example.com/0"),
        ("ZAPTIK_INSTANCE_HOSTS", f"https://{CANARY}"),
    ],
)
def test_a_value_of_no_use_is_refused_by_its_variable_and_never_repeated(variable: str, value: str) -> None:
    message = refuse({variable: value})
    assert message.startswith(f"{variable}: ")
    assert CANARY not in message


def test_every_unusable_variable_is_told_at_once() -> None:
    message = refuse({"ZAPTIK_WORKER_THREADS": "x", "ZAPTIK_PAGE_ROWS": "x"})
    assert "ZAPTIK_WORKER_THREADS: " in message
    assert "ZAPTIK_PAGE_ROWS: " in message


def test_two_keyrings_are_one_too_many() -> None:
    message = refuse({"ZAPTIK_KEYRING": CANARY, "ZAPTIK_KEYRING_FILE": "/keyring"})
    assert message == "set one of ZAPTIK_KEYRING_FILE, ZAPTIK_KEYRING and ZAPTIK_KEYRING_COMMAND, not more"


def test_the_first_wait_is_no_longer_than_the_longest() -> None:
    assert "ZAPTIK_RETRY_CAP_SECONDS" in refuse({"ZAPTIK_RETRY_BASE_SECONDS": "901"})


def test_no_view_of_the_settings_shows_a_secret() -> None:
    settings = read_settings(
        {
            "ZAPTIK_DATABASE_URL": f"postgresql://zaptik:{CANARY}@localhost/zaptik",
            "ZAPTIK_ADMIN_DATABASE_URL": f"postgresql://postgres:{CANARY}@localhost/zaptik",
            "ZAPTIK_REDIS_URL": f"rediss://:{CANARY}@cache.example.com/0",
            "ZAPTIK_KEYRING": CANARY,
        }
    )
    assert settings.require_redis_url().count(CANARY) == 1
    for view in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert CANARY not in view


@pytest.mark.parametrize("field", ["database_url", "admin_database_url", "redis_url"])
def test_what_is_required_and_absent_is_named_with_what_to_write(field: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"^set {variable_of(field)} to (postgresql|rediss)://"):
        getattr(read_settings({}), f"require_{field}")()


def test_host_patterns_are_split_at_commas_and_spaces() -> None:
    text = " LOCALHOST:8443, *.example.com\tacme.example.com ,10.0.0.1:443,[::1]:8443, "
    assert read_settings({"ZAPTIK_INSTANCE_HOSTS": text}).instance_hosts == (
        "localhost:8443",
        "*.example.com",
        "acme.example.com",
        "10.0.0.1:443",
        "[::1]:8443",
    )


@pytest.mark.parametrize(
    "pattern", ["*", "*.com", "a*.example.com", "https://x", "x/y", "x:", "x:65536", "x.*", "u@x"]
)
def test_a_pattern_that_allows_too_much_or_means_nothing_is_refused(pattern: str) -> None:
    assert "host:port" in refuse({"ZAPTIK_INSTANCE_HOSTS": pattern})


def test_every_setting_is_described() -> None:
    rows = describe_settings()
    filed = {file_variable_of(name) for name in FILED}
    assert [row.variable for row in rows if row.variable not in filed] == list(
        map(variable_of, Settings.model_fields)
    )
    assert filed <= {row.variable for row in rows}
    assert all(row.meaning.endswith(".") and row.type for row in rows)
    described = {row.variable: (row.type, row.default) for row in rows}
    assert described["ZAPTIK_DATABASE_URL"] == ("secret text", "")
    assert described["ZAPTIK_PAGE_ROWS"] == ("integer, 1 to 10000", "1000")
    assert described["ZAPTIK_LOG_FORMAT"] == ("json, console", "json")
    assert described["ZAPTIK_INSTANCE_HOSTS"] == ("list", "")


def test_the_settings_survive_no_pickle_with_a_secret_in_clear() -> None:
    settings = read_settings({"ZAPTIK_KEYRING": CANARY})
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)


@pytest.mark.parametrize(
    "text", ["10.20.0.0/16, fd12::/48", "10.20.0.0/16 fd12::/48", " 10.20.0.0/16,fd12::/48\n"]
)
def test_private_ranges_are_networks(text: str) -> None:
    networks = read_settings({"ZAPTIK_PRIVATE_RANGES": text}).private_ranges
    assert [str(network) for network in networks] == ["10.20.0.0/16", "fd12::/48"]


@pytest.mark.parametrize("text", ["10.20.0.1/16", "10.20.0.0/33", "intranet", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_refused_with_what_to_write_and_not_repeated(text: str) -> None:
    with pytest.raises(
        InvalidSetting, match=r"ZAPTIK_PRIVATE_RANGES: write networks as 10\.20\.0\.0/16"
    ) as caught:
        read_settings({"ZAPTIK_PRIVATE_RANGES": text})
    assert text not in caught.value.message


@pytest.mark.parametrize(
    ("variable", "promised", "unit"),
    [
        ("ZAPTIK_REVISION_RETENTION", 365, "days"),
        ("ZAPTIK_RUN_RETENTION", 90, "days"),
        ("ZAPTIK_AUDIT_RETENTION", 24, "months"),
    ],
)
def test_what_is_kept_may_be_kept_longer_and_never_shorter_than_promised(
    variable: str, promised: int, unit: str
) -> None:
    field = variable.removeprefix("ZAPTIK_").lower()
    assert getattr(read_settings({}), field) == promised
    assert getattr(read_settings({variable: str(promised + 1)}), field) == promised + 1
    for given in (promised - 1, 0, -1, 10**6):
        message = refuse({variable: str(given)})
        assert message.startswith(f"{variable}: ")
        assert f"kept for {promised} {unit} at least, since that is promised" in message
