"""ops/kubernetes/: every manifest is what Kubernetes' own schema says, and every name in it one that exists."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from tests.house.deployments import PATHS, PORTS, check_command, check_variables, read_documents
from tests.house.sources import ROOT
from worker.settings import read_settings

VERSIONS: Final = ("1.29", "1.37")  # from the oldest that anybody still runs to the newest
FOLDER: Final = ROOT / "ops" / "kubernetes"
OURS: Final = ("namespace", "setup", "processes")
KUSTOMIZATIONS: Final = {name: read_documents(FOLDER / name / "kustomization.yaml")[0] for name in OURS}
MANIFESTS: Final = [
    (file, document)
    for name in OURS
    for file in sorted((FOLDER / name).glob("*.yaml"))
    if file.name != "kustomization.yaml"
    for document in read_documents(file)
]
SETTINGS: Final = dict(
    line.split("=", 1)
    for line in (FOLDER / "namespace" / "settings.env").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)
USER: Final = 10001  # of ops/image/Dockerfile
each_manifest = pytest.mark.parametrize(
    "document",
    [document for _, document in MANIFESTS],
    ids=lambda one: f"{one['kind']}-{one['metadata']['name']}",
)


def find_pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Give the name, labels and spec of every pod that is described."""
    for _, document in MANIFESTS:
        if document["kind"] == "Pod":
            yield document["metadata"]["name"], document["metadata"]["labels"], document["spec"]
        elif document["kind"] in {"Deployment", "Job"}:
            template = document["spec"]["template"]
            yield document["metadata"]["name"], template["metadata"]["labels"], template["spec"]


PODS: Final = {name: (labels, spec) for name, labels, spec in find_pods()}
each_pod = pytest.mark.parametrize("name", PODS)


def container_of(name: str) -> dict[str, Any]:
    [container] = PODS[name][1]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("version", VERSIONS)
@each_manifest
def test_a_manifest_is_what_kubernetes_own_schema_says(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", OURS)
def test_a_kustomization_names_every_file_beside_it(name: str) -> None:
    files = {file.name for file in (FOLDER / name).glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATIONS[name]["resources"]) == files
    images = [image["name"] for image in KUSTOMIZATIONS[name].get("images", [])]
    assert images == ([] if name == "namespace" else ["zaptik-sync"])
    assert KUSTOMIZATIONS[name]["namespace"] == "zaptik"


@each_pod
def test_a_pod_can_write_nothing_become_nobody_and_speak_to_no_kubernetes(name: str) -> None:
    spec, container = PODS[name][1], container_of(name)
    assert spec["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] in {
        one["metadata"]["name"] for _, one in MANIFESTS if one["kind"] == "ServiceAccount"
    }
    assert f"USER {USER}:{USER}" in (ROOT / "ops" / "image" / "Dockerfile").read_text("utf-8")


@each_pod
def test_no_variable_of_kubernetes_own_comes_among_our_settings(name: str) -> None:
    assert PODS[name][1]["enableServiceLinks"] is False


@each_pod
def test_a_pod_is_bounded_and_runs_our_image(name: str) -> None:
    container = container_of(name)
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["resources"]["limits"].keys() == {"memory"}
    assert container["image"] == "zaptik-sync"


@each_pod
def test_its_command_parses_and_its_variables_are_settings(name: str) -> None:
    container = container_of(name)
    if "args" in container:
        check_command(container["args"])
    else:
        assert container["command"] == ["sleep", "3600"]
    check_variables(variable["name"] for variable in container["env"])


@each_pod
def test_every_pod_has_the_settings_and_does_not_start_without_them(name: str) -> None:
    [generated] = KUSTOMIZATIONS["namespace"]["configMapGenerator"]
    assert container_of(name)["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    assert KUSTOMIZATIONS["namespace"]["generatorOptions"] == {"disableNameSuffixHash": True}


@each_pod
def test_a_secret_is_a_file_that_its_group_alone_may_read(name: str) -> None:
    spec, container = PODS[name][1], container_of(name)
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert all(mount["readOnly"] is True for mount in container["volumeMounts"])
    for volume in spec["volumes"]:
        assert volume["secret"] == {"secretName": f"zaptik-{volume['name']}", "defaultMode": 0o440}
        assert places[volume["name"]] == f"/run/zaptik/{volume['name']}"
    for variable in container["env"]:
        assert str(Path(variable["value"]).parent) in places.values()


def test_only_what_sets_up_is_given_the_administrators_address() -> None:
    given = {
        name for name, (_, spec) in PODS.items() if any(one["name"] == "admin" for one in spec["volumes"])
    }
    assert given == {"zaptik-migrate", "zaptik-command"}


def test_only_the_scheduler_is_given_the_key_that_seals_the_trail() -> None:
    given = {
        name for name, (_, spec) in PODS.items() if any(one["name"] == "audit" for one in spec["volumes"])
    }
    assert given == {"zaptik-scheduler"}


def test_the_settings_are_taken() -> None:
    check_variables(SETTINGS)
    assert read_settings(SETTINGS).metrics_host == "0.0.0.0"  # noqa: S104  what the pod's address is asked at


@pytest.mark.parametrize("role", PORTS)
def test_a_process_is_probed_at_its_own_port_and_has_time_to_drain(role: str) -> None:
    _, spec = PODS[f"zaptik-{role}"]
    container = container_of(f"zaptik-{role}")
    assert container["args"] == [role]
    assert container["ports"] == [{"name": "metrics", "containerPort": PORTS[role]}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"
        assert container[probe]["httpGet"]["path"] in PATHS
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez", "PostgreSQL being away ends no process"
    assert spec["terminationGracePeriodSeconds"] > read_settings(SETTINGS).drain_seconds + 5


PAGE, SCALING = (
    (ROOT / "docs" / "how-to" / name).read_text("utf-8")
    for name in ("deploy-on-kubernetes.md", "scale-workers.md")
)
OVERLAYS: Final = [yaml.safe_load(text) for text in re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE + SCALING)]


def test_the_overlays_of_the_pages_name_what_is_there() -> None:
    """Kustomize leaves an image or a ConfigMap of another name as it was, or makes one more, without a word."""
    assert len(OVERLAYS) == 4
    for overlay in OVERLAYS:
        for resource in overlay.get("resources", []):
            assert resource in {f"../../zaptik-sync/ops/kubernetes/{name}" for name in OURS}
        assert {image["name"] for image in overlay.get("images", [])} <= {"zaptik-sync"}
        for generated in overlay.get("configMapGenerator", []):
            [ours] = KUSTOMIZATIONS["namespace"]["configMapGenerator"]
            assert (generated["name"], generated["behavior"]) == (ours["name"], "merge")
            given = dict(literal.split("=", 1) for literal in generated["literals"])
            check_variables(given)
            read_settings(SETTINGS | given)
        for patch in overlay.get("patches", []):
            kubernetes_validate.validate(build_patched(patch), VERSIONS[0], strict=True)


def build_patched(patch: dict[str, Any]) -> dict[str, Any]:
    """Give the manifest that a patch is about as it is then; fail where there is none, or nothing to change."""
    wanted = patch["target"]["kind"], patch["target"]["name"]
    [found] = [one for _, one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == wanted]
    patched: dict[str, Any] = copy.deepcopy(found)
    for change in yaml.safe_load(patch["patch"]):
        if change["op"] == "add":
            assert change["path"] == "/spec/egress/-"
            patched["spec"]["egress"].append(change["value"])
        else:
            assert (change["op"], change["path"]) == ("remove", "/spec/replicas")
            del patched["spec"]["replicas"]
    return patched


def test_the_page_applies_each_kustomization_before_what_needs_it() -> None:
    applied = re.findall(r"(?m)^kubectl (apply|delete) -k (\S+)", PAGE)
    assert {name for _, name in applied} == set(OURS)
    assert tuple(dict.fromkeys(name for verb, name in applied if verb == "apply")) == OURS


def test_an_upgrade_migrates_when_no_process_is_left() -> None:
    steps = PAGE.partition("## Upgrade")[2]
    assert steps.index("--replicas=0") < steps.index("wait --for=delete pod") < steps.index("apply -k setup")
    components = re.search(r"component in \((.*?)\)", steps)
    assert components
    assert set(components[1].split(", ")) == set(PORTS)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: bool = selector.get("matchLabels", {}).items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        wanted = wanted and labels.get(expression["key"]) in expression["values"]
    return wanted


@pytest.mark.parametrize("role", PORTS)
def test_what_selects_a_process_finds_it_and_no_other(role: str) -> None:
    name = f"zaptik-{role}"
    chosen = [
        document["spec"]["selector"]
        for _, document in MANIFESTS
        if document["kind"] in {"Deployment", "PodDisruptionBudget"} and document["metadata"]["name"] == name
    ]
    assert len(chosen) == 2
    for selector in chosen:
        assert [pod for pod, (labels, _) in PODS.items() if selects(selector, labels)] == [name]


def test_each_pod_may_go_only_where_it_must() -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for _, one in MANIFESTS if one["kind"] == "NetworkPolicy"
    }
    reached = {
        name: {pod for pod, (labels, _) in PODS.items() if selects(spec["podSelector"], labels)}
        for name, spec in policies.items()
    }
    assert reached["zaptik-nothing-else"] == PODS.keys()
    assert policies["zaptik-nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert reached["zaptik-servers"] == PODS.keys()
    assert reached["zaptik-instances"] == {"zaptik-worker", "zaptik-command"}
    [metrics] = policies["zaptik-metrics"]["ingress"]
    assert {port["port"] for port in metrics["ports"]} == set(PORTS.values())


def test_what_is_scraped_by_the_operator_is_the_port_that_processes_have() -> None:
    [monitor] = read_documents(FOLDER / "pod-monitor.yaml")
    assert [one["port"] for one in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]
    found = {name for name, (labels, _) in PODS.items() if selects(monitor["spec"]["selector"], labels)}
    assert {f"zaptik-{role}" for role in PORTS} <= found
