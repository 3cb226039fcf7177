"""Every component on every scheduler, and what Slurm and Kubernetes are asked for."""

import pytest

from tests.conftest import ROOT
from tests.torchx_components.rendering import CFG, rendered, words

COMPONENTS = {
    "train.py:ctr": ("--config", f"{ROOT}/configs/shop.yaml", "-j", "2x8"),
    "evaluate.py:evaluate": ("--run", "runs/shop", "-j", "1x8"),
    "plan.py:plan": ("--", "--config", "configs/shop.yaml", "--world-size", "128"),
    "bench.py:bench": ("--benchmark", "kernels", "--", "--repeats", "2"),
    "serve.py:score": ("--model", "models/shop", "--", "--no-page"),
}
PLACE = (
    "--cpu", "96", "--gpu", "8", "--memMB", "900000", "--max_retries", "3", "--image", "here/tierwise:1",
    "--env", "NCCL_DEBUG=INFO",
    "--mounts", "type=bind,src=/big,dst=/data,readonly,type=volume,src=runs-claim,dst=/runs",
)  # fmt: skip

# TorchX says that Volcano 1.4 did not restart rightly; torchrun's own restarts do not need it.
pytestmark = pytest.mark.filterwarnings(r"ignore:\s*Role \w+ configured with restarts:UserWarning")


@pytest.mark.parametrize("scheduler", CFG)
@pytest.mark.parametrize("component", COMPONENTS)
def test_renders(component: str, scheduler: str):
    info = rendered(component, *PLACE, *COMPONENTS[component], scheduler=scheduler)
    text = str(info)  # what --dryrun prints
    assert ("torchrun" if component in ("train.py:ctr", "evaluate.py:evaluate") else "torchx_components.logged") in text


@pytest.mark.parametrize("component", COMPONENTS)
def test_slurm_is_asked_for_machines_memory_time_and_retries(component: str):
    script = rendered(component, *PLACE, *COMPONENTS[component], scheduler="slurm").request.materialize()
    groups = [line for line in script.splitlines() if line.startswith("#SBATCH --job-name")]
    assert len(groups) == (2 if component == "train.py:ctr" else 1)
    for group in groups:
        for option in ("partition=gpu", "time=1-00:00:00", "cpus-per-task=96", "mem=900000", "gpus-per-task=8"):
            assert f"--{option}" in group.split(), option
    assert "export TORCHX_MAX_RETRIES=3" in script
    assert "NCCL_DEBUG=INFO" in script


@pytest.mark.parametrize("component", COMPONENTS)
def test_kubernetes_is_asked_for_image_memory_mounts_and_retries(component: str):
    resource = rendered(component, *PLACE, *COMPONENTS[component], scheduler="kubernetes").request.resource
    task = resource["spec"]["tasks"][0]
    assert task["maxRetry"] == 3
    pod = task["template"].spec
    (container,) = pod.containers
    assert container.image == "here/tierwise:1"
    assert container.resources.limits == {"cpu": "96000m", "memory": "900000M", "nvidia.com/gpu": "8"}
    mounted = {m.mount_path: m.read_only for m in container.volume_mounts}
    assert (mounted["/data"], mounted["/runs"]) == (True, False)
    assert {v.host_path.path for v in pod.volumes if v.host_path} == {"/big"}
    assert {v.persistent_volume_claim.claim_name for v in pod.volumes if v.persistent_volume_claim} == {"runs-claim"}
    assert {e.name: e.value for e in container.env}["NCCL_DEBUG"] == "INFO"


def test_plan_and_bench_run_their_modules_alone():
    assert words(rendered("plan.py:plan", "--", "--world-size", "8"), "python") == [
        "python", "-m", "torchx_components.logged", "runs/plan/logs/plan.log", "embeddings.plan", "--world-size", "8",
    ]  # fmt: skip
    line = words(
        rendered("bench.py:bench", "--benchmark", "data.memory", "--logs", "b c", "--", "--out", "a b"), "python"
    )
    assert line == [
        "python", "-m", "torchx_components.logged", "b c/bench.log", "benchmarks.data.memory", "--out", "a b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"), [("kernel", "did you mean 'kernels'"), ("harness", "no benchmark 'harness'")]
)
def test_bench_refuses_what_does_not_run_by_itself(name: str, said: str):
    with pytest.raises(SystemExit, match=said):
        rendered("bench.py:bench", "--benchmark", name)
