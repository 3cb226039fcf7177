"""The serve component, and the manifest for Kubernetes, which has what TorchX's jobs have no words for."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from serve.commands.score import command
from tests.conftest import ROOT
from tests.torchx_components.rendering import rendered, words

MANIFEST = ROOT / "configs" / "kubernetes" / "scorer.yaml"


def parsed(arguments: list[str]) -> dict[str, Any]:
    """What the command makes of ``arguments``, which have to be all its own."""
    with click.Context(command) as context:
        command.parse_args(context, list(arguments))
        return context.params


@pytest.mark.parametrize("scheduler", ["local_cwd", "slurm", "kubernetes"])
def test_runs_the_command_with_its_options(scheduler: str):
    info = rendered(
        "serve.py:score", "--model", "models/shop", "--cpu", "3", "--host", "0.0.0.0", "--port", "8700",
        "--", "--items", "data/shop/items", scheduler=scheduler,
    )  # fmt: skip
    line = words(info, "torchx_components.logged")
    assert line[1] == "runs/score/logs/score.log" and line[2:4] == ["serve", "score"]
    taken = parsed(line[4:])
    assert (taken["model"], taken["host"], taken["port"], taken["processes"]) == ("models/shop", "0.0.0.0", 8700, 3)
    assert taken["items"] == ("data/shop/items",)
    assert info._app is not None and info._app.roles[0].port_map == {"http": 8700}


def test_kubernetes_job_has_port_and_resources():
    resource = rendered("serve.py:score", "--model", "m", "--cpu", "4", scheduler="kubernetes").request.resource
    (container,) = resource["spec"]["tasks"][0]["template"].spec.containers
    assert container.resources.limits["cpu"] == "4000m"
    assert [(port.name, port.container_port) for port in container.ports] == [("http", 8600)]


@pytest.fixture
def deployment() -> dict[str, Any]:
    return next(yaml.safe_load_all(MANIFEST.read_text()))


def test_manifest_is_what_kubernetes_knows(deployment: dict[str, Any]):
    """Read as the client's own classes, nothing is missing, and written again, nothing was unknown to them."""
    client = pytest.importorskip("kubernetes.client", reason="requirements/kubernetes.txt is not installed")
    api = client.ApiClient()
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    assert [document["kind"] for document in documents] == ["Deployment", "Service"]
    for document in documents:
        read = api.deserialize(json.dumps(document), f"V1{document['kind']}", "application/json")
        assert api.sanitize_for_serialization(read) == document
    selected = documents[1]["spec"]["selector"].items()
    assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_manifest_runs_the_command_with_its_options(deployment: dict[str, Any]):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "serve", "score"]
    taken = parsed(container["args"])
    assert taken["port"] == container["ports"][0]["containerPort"] and taken["host"] == "0.0.0.0"
    assert taken["processes"] == int(container["resources"]["requests"]["cpu"])
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    paths = [taken["model"], taken["token_file"], *(store.partition("=")[2] for store in taken["stores"])]
    assert all(any(Path(path).is_relative_to(place) for place in mounted) for path in paths)


def test_manifest_updates_and_ends_without_losing_a_request(deployment: dict[str, Any]):
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert container["readinessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    probes = [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert {probe["timeoutSeconds"] for probe in probes} == {5}, "a request may hold a process for longer than 1 s"
    wait_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    unready_s = container["readinessProbe"]["periodSeconds"] * container["readinessProbe"]["failureThreshold"]
    assert wait_s > unready_s
    assert pod["terminationGracePeriodSeconds"] > wait_s + parsed(container["args"])["grace_s"] + 2
