"""docker-compose.yml: every service hardened and bounded, every name in it one that exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from ops.compose import first_tenant
from ops.compose.prepare import GROUPS, MOUNTED, SERVERS
from tests.house.deployments import PORTS, check_command, check_variables, read_documents
from tests.house.sources import ROOT
from worker.settings import read_settings

[STACK] = read_documents(ROOT / "docker-compose.yml")
SERVICES: Final[dict[str, Any]] = STACK["services"]
PAGE: Final = (ROOT / "docs" / "how-to" / "deploy-with-compose.md").read_text("utf-8")
OURS: Final = {
    name: service for name, service in SERVICES.items() if service["image"].startswith("${SYNC_IMAGE")
}
SIMULATOR: Final = {name: one for name, one in SERVICES.items() if one["image"] == "zaptik-sync-simulator"}
every_service = pytest.mark.parametrize("name", SERVICES)


def volumes_of(name: str) -> dict[str, str]:
    """Give each place in the service's container with what is mounted there."""
    parts = (volume.split(":") for volume in SERVICES[name].get("volumes", []))
    return {place: source for source, place, *_ in parts}


@every_service
def test_a_service_can_write_nothing_and_become_nobody(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == "prepare" else [])
    assert not {"privileged", "pid", "ipc", "devices"}.intersection(service)


@every_service
def test_a_service_is_bounded(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory"}


@every_service
def test_a_port_is_published_on_loopback_alone_and_none_of_postgresql_and_redis(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert bool(ports) == ("watch" in SERVICES[name].get("networks", []))
    if name in {"postgres", "redis"}:
        assert SERVICES[name]["networks"] == ["data"]


def test_nothing_that_holds_data_or_keys_has_a_way_out() -> None:
    """A container has one as soon as one of its networks has: Prometheus and Grafana, which hold neither."""
    ways_out = {name for name, network in STACK["networks"].items() if not network.get("internal")}
    assert ways_out == {"watch"}
    assert {name for name, one in SERVICES.items() if ways_out.intersection(one.get("networks", []))} == {
        "prometheus",
        "grafana",
    }
    assert all("networks" in one or one["network_mode"] == "none" for one in SERVICES.values())


@every_service
def test_everything_a_service_names_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= SERVICES.keys()
    assert set(service.get("networks", [])) <= STACK["networks"].keys()
    for place, source in volumes_of(name).items():
        assert place.startswith("/")
        assert (ROOT / source).exists() if source.startswith("./") else source in STACK["volumes"]


@every_service
def test_a_service_waits_for_what_it_needs_to_be_well(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        is_one_shot = "restart" not in SERVICES[needed]
        assert how["condition"] == ("service_completed_successfully" if is_one_shot else "service_healthy")
        assert is_one_shot or "healthcheck" in SERVICES[needed]


@pytest.mark.parametrize("name", OURS)
def test_what_our_image_is_told_are_commands_and_settings(name: str) -> None:
    service = OURS[name]
    if "command" in service:
        check_command(service["command"])
    check_variables(service["environment"])
    filed = {key: value for key, value in service["environment"].items() if value.startswith(f"{MOUNTED}/")}
    for variable, path in filed.items():
        assert str(Path(path).parent) in volumes_of(name), variable
    plain = {key: value for key, value in service["environment"].items() if not key.endswith("_URL_FILE")}
    assert read_settings(plain).instance_hosts == ("simulator:8443",)


def test_only_what_sets_up_is_given_the_administrators_address() -> None:
    given = {name for name in SERVICES if "admin" in volumes_of(name).values()}
    assert given == {"prepare", "migrate", "tenant", "zaptik"}
    assert {
        name for name, one in OURS.items() if "ZAPTIK_ADMIN_DATABASE_URL_FILE" in one["environment"]
    } <= given


def test_only_the_scheduler_is_given_the_key_that_seals_the_trail() -> None:
    assert {name for name in SERVICES if "audit" in volumes_of(name).values()} == {"prepare", "scheduler"}
    assert SERVICES["scheduler"]["environment"]["ZAPTIK_AUDIT_KEY_FILE"] == f"{MOUNTED}/audit/key.json"


def test_each_process_has_more_time_to_drain_than_it_takes() -> None:
    for name in PORTS:
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > read_settings({}).drain_seconds + 5


@pytest.mark.parametrize("name", PORTS)
def test_a_process_is_asked_at_its_own_port_whether_it_is_ready(name: str) -> None:
    asked = SERVICES[name]["healthcheck"]["test"][-1]
    assert f"http://127.0.0.1:{PORTS[name]}/readyz" in asked


def test_every_process_is_scraped_by_its_name_and_port() -> None:
    [configuration] = read_documents(ROOT / "ops" / "prometheus" / "prometheus.yaml")
    scraped = {
        (place["names"][0], place["port"])
        for job in configuration["scrape_configs"]
        for place in job["dns_sd_configs"]
    }
    assert scraped == set(PORTS.items())
    [rules] = configuration["rule_files"]
    assert [file for file in (ROOT / "ops" / "prometheus").glob(rules) if "test" in file.name] == []
    assert list((ROOT / "ops" / "prometheus").glob(rules))
    for name, _ in scraped:
        assert "metrics" in SERVICES[name]["networks"]


def test_grafana_finds_prometheus_and_its_dashboards_where_they_are() -> None:
    folder = ROOT / "ops" / "grafana"
    mounted = {source: place for place, source in volumes_of("grafana").items()}["./ops/grafana"]
    assert SERVICES["grafana"]["environment"]["GF_PATHS_PROVISIONING"] == f"{mounted}/provisioning"
    [sources] = read_documents(folder / "provisioning" / "datasources" / "prometheus.yaml")
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"
    [dashboards] = read_documents(folder / "provisioning" / "dashboards" / "zaptik.yaml")
    assert dashboards["providers"][0]["options"]["path"] == mounted
    assert list(folder.glob("*.json"))


def test_what_is_prepared_is_what_is_mounted() -> None:
    assert {place.removeprefix("/prepared/") for place in volumes_of("prepare")} == GROUPS.keys()
    for name in SERVICES.keys() - {"prepare"}:
        for place in volumes_of(name):
            if place.startswith(f"{MOUNTED}/"):
                assert place.removeprefix(f"{MOUNTED}/") in GROUPS
    assert set(SERVERS) <= SERVICES.keys()


def test_a_secret_is_mounted_where_nobody_can_change_it() -> None:
    secret = {source for place, source in volumes_of("prepare").items()}
    for name in SERVICES.keys() - {"prepare"}:
        for volume in SERVICES[name].get("volumes", []):
            if volume.split(":")[0] in secret or volume.startswith("./"):
                assert volume.endswith(":ro"), volume


def test_the_first_tenant_is_the_simulated_instance() -> None:
    options = SERVICES["simulator"]["command"]
    assert f"--instance-url={first_tenant.URL}" in options
    assert f"--client-id={first_tenant.CLIENT_ID}" in options
    for name in SIMULATOR:
        assert re.fullmatch(r"ops\.[\w.]+|--[\w-]+=.+", SERVICES[name]["command"][0])
    check_command(
        ["tenant", "add", first_tenant.NAME, "--url", first_tenant.URL, "--every", first_tenant.EVERY]
    )


def test_each_image_of_ours_is_built_by_one_service_and_pulled_by_none() -> None:
    """Each service that builds makes an image of its own, of which the last keeps the name."""
    for services in (OURS, SIMULATOR):
        assert len([name for name, one in services.items() if "build" in one]) == 1
        assert {one["pull_policy"] for one in services.values()} == {"never"}
    assert {name for name, one in SERVICES.items() if "build" in one} <= OURS.keys() | SIMULATOR.keys()


def test_the_page_names_every_variable_of_the_stack_and_no_other() -> None:
    table = PAGE.partition("## Settings of the stack")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert named == set(re.findall(r"\$\{(\w+):-", text))


def test_the_page_names_volumes_and_services_that_there_are() -> None:
    volumes = set(re.findall(r"--volume zaptik_([\w-]+):", PAGE))
    assert volumes
    assert volumes <= STACK["volumes"].keys()
    acted_on = re.findall(r"docker compose (?:stop|restart|logs) ([\w ]+)", PAGE)
    assert {name for names in acted_on for name in names.split()} <= SERVICES.keys()
    commands = re.findall(r"docker compose run [^\n`]* zaptik ([a-z][\w -]*)", PAGE)
    assert len(commands) > 3
    for command in commands:
        check_command(command.split())


def test_no_image_is_taken_without_a_tag() -> None:
    for name, service in SERVICES.items():
        if name not in OURS | SIMULATOR:
            image = re.sub(r"\$\{\w+:-(.+)\}", r"\1", service["image"])
            assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image), name
