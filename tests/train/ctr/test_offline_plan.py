"""The hardware that is planned for without a run; plan files are tested through the command."""

import pytest
import torch

from embeddings.planner.hardware import load_hardware
from train.ctr.offline_plan import planned_hardware


def test_a_shipped_part_with_its_own_ranks_of_a_host_and_with_others():
    own = load_hardware("h100-80")
    assert planned_hardware("h100-80", 128, None) == own
    assert own.local_world_size != 3 and planned_hardware("h100-80", 128, 3).local_world_size == 3


@pytest.mark.parametrize(("world_size", "local", "of_host"), [(4, None, 4), (None, None, 1), (4, 2, 2)])
def test_this_machine_holds_all_ranks_on_cpu_unless_told(world_size, local, of_host, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    hardware = planned_hardware("this", world_size, local)
    assert (hardware.device, hardware.local_world_size) == ("cpu", of_host)
