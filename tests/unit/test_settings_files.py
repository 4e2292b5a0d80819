"""A secret may be given as a file: which files are taken, and what is said of the others."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs.errors import Failure, InvalidSetting, UnknownSetting
from worker.settings import FILED, Settings, file_variable_of, read_settings, variable_of
from worker.settings.secret_files import MAX_VALUE_BYTES, describe_exposure

CANARY = "hunter2-canary"
URLS = {
    "database_url": f"postgresql://zaptik_app:{CANARY}@localhost/zaptik",
    "listen_database_url": f"postgresql://zaptik_app:{CANARY}@localhost:5433/zaptik",
    "admin_database_url": f"postgresql://postgres:{CANARY}@localhost/zaptik",
    "redis_url": f"rediss://:{CANARY}@cache.example.com/0",
}


def write_secret(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def refuse(environ: Mapping[str, str], kind: type[Failure] = InvalidSetting) -> str:
    with pytest.raises(kind) as caught:
        read_settings(environ)
    message = str(caught.value)
    assert CANARY not in message
    return message


def test_every_secret_that_is_not_a_key_has_a_file() -> None:
    secret = {
        name for name, shape in Settings.model_json_schema()["properties"].items() if "password" in f"{shape}"
    }
    keys = {"keyring", "keyring_command", "audit_key"}
    assert secret - set(FILED) == keys, "these have ZAPTIK_KEYRING_FILE and ZAPTIK_AUDIT_KEY_FILE"


@pytest.mark.parametrize("field", FILED)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_its_file(field: str, ending: str, tmp_path: Path) -> None:
    path = write_secret(tmp_path, URLS[field] + ending)
    settings = read_settings({file_variable_of(field): str(path)})
    assert getattr(settings, field).get_secret_value() == URLS[field]
    assert CANARY not in repr(settings)


def test_an_empty_variable_beside_the_file_counts_as_not_set(tmp_path: Path) -> None:
    path = write_secret(tmp_path, URLS["redis_url"])
    settings = read_settings({"ZAPTIK_REDIS_URL": "", "ZAPTIK_REDIS_URL_FILE": str(path)})
    assert settings.require_redis_url() == URLS["redis_url"]
    assert read_settings({"ZAPTIK_REDIS_URL_FILE": " "}).redis_url is None


@pytest.mark.parametrize("field", FILED)
def test_a_secret_given_both_ways_is_refused(field: str, tmp_path: Path) -> None:
    path = write_secret(tmp_path, URLS[field])
    name = variable_of(field)
    assert (
        refuse({name: URLS[field], f"{name}_FILE": str(path)})
        == f"set one of {name} and {name}_FILE, not both"
    )


def test_what_is_in_the_file_is_checked_as_the_variable_is(tmp_path: Path) -> None:
    path = write_secret(tmp_path, f"redis://:{CANARY}@cache.example.com/0")
    assert refuse({"ZAPTIK_REDIS_URL_FILE": str(path)}).startswith("ZAPTIK_REDIS_URL: write rediss://")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_open_is_refused(mode: int, tmp_path: Path) -> None:
    status = write_secret(tmp_path, URLS["redis_url"], mode=mode).stat()
    ours = os.stat_result([status.st_mode, 1, 1, 1, 1000, 1000, 1, 1, 1, 1])
    assert "chmod 600" in (describe_exposure(ours, user=1000) or "")


def test_the_complaint_names_the_variable_and_the_file(tmp_path: Path) -> None:
    path = write_secret(tmp_path, URLS["redis_url"], mode=0o644)
    message = refuse({"ZAPTIK_REDIS_URL_FILE": str(path)})
    assert message == (
        f"ZAPTIK_REDIS_URL_FILE: the file {path} is open to others than its owner: run `chmod 600 {path}`"
    )


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_file_of_another_user_than_root_is_refused(mode: int, tmp_path: Path) -> None:
    status = write_secret(tmp_path, "x", mode=mode).stat()
    of_ours, of_root, of_another = (
        os.stat_result([status.st_mode, 1, 1, 1, owner, owner, 1, 1, 1, 1]) for owner in (1000, 0, 1001)
    )
    assert describe_exposure(of_ours, user=1000) is None
    assert describe_exposure(of_root, user=1000) is None, "a platform mounts secrets as root"
    for user in (0, 1000):
        assert "belongs to user 1001" in (describe_exposure(of_another, user=user) or "")


def test_roots_file_may_be_read_by_its_group_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    def of_root(mode: int) -> os.stat_result:
        status = write_secret(tmp_path, "x", mode=mode).stat()
        return os.stat_result([status.st_mode, 1, 1, 1, 0, 10001, 1, 1, 1, 1])

    assert describe_exposure(of_root(0o440), user=10001) is None
    assert describe_exposure(of_root(0o640), user=10001) is None
    for mode in (0o444, 0o460, 0o644, 0o650):
        assert describe_exposure(of_root(mode), user=10001) is not None, oct(mode)
    assert describe_exposure(of_root(0o440), user=0) is not None, "root's own is root's alone"


def test_a_file_that_is_not_there_or_no_file_is_told_by_name(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    message = refuse({"ZAPTIK_DATABASE_URL_FILE": str(absent), "ZAPTIK_REDIS_URL_FILE": str(tmp_path)})
    assert f"ZAPTIK_DATABASE_URL_FILE: the file {absent} cannot be read: No such file or directory" in message
    assert f"ZAPTIK_REDIS_URL_FILE: the file {tmp_path} is a folder: name the file in it" in message


@pytest.mark.parametrize("text", ["", "\n", "x" * (MAX_VALUE_BYTES + 1)])
def test_a_file_with_nothing_or_too_much_in_it_is_refused(text: str, tmp_path: Path) -> None:
    path = write_secret(tmp_path, text)
    assert "is empty, or too long" in refuse({"ZAPTIK_REDIS_URL_FILE": str(path)})


def test_a_pipe_in_the_files_place_holds_nobody_up(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, mode=0o600)
    assert "is no regular file" in refuse({"ZAPTIK_REDIS_URL_FILE": str(pipe)})


def test_no_other_setting_has_a_file() -> None:
    assert "ZAPTIK_LOG_LEVEL_FILE is no setting" in refuse({"ZAPTIK_LOG_LEVEL_FILE": "/x"}, UnknownSetting)


@pytest.mark.parametrize(
    "name",
    [
        "ZAPTIK_WORKER_SERVICE_HOST",
        "ZAPTIK_WORKER_SERVICE_PORT",
        "ZAPTIK_WORKER_SERVICE_PORT_METRICS",
        "ZAPTIK_WORKER_PORT",
        "ZAPTIK_WORKER_PORT_9191_TCP",
        "ZAPTIK_WORKER_PORT_9191_TCP_PROTO",
        "ZAPTIK_WORKER_PORT_9191_TCP_PORT",
        "ZAPTIK_WORKER_PORT_9191_TCP_ADDR",
    ],
)
def test_what_kubernetes_makes_for_a_service_is_told_as_that(name: str) -> None:
    message = refuse({name: "10.0.0.1"}, UnknownSetting)
    assert message.startswith(f"{name} is no setting: Kubernetes makes such variables for a Service")
    assert "enableServiceLinks: false" in message


def test_a_service_called_as_a_setting_is_told_too() -> None:
    message = refuse({"ZAPTIK_METRICS_PORT": f"tcp://{CANARY}:9191"})
    assert message.startswith("ZAPTIK_METRICS_PORT: write a port's number; Kubernetes makes such")
