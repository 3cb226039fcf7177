"""The frozen table: zero-copy on CPU, unit vectors, zeros for missing rows, invisible to modules."""

from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from embeddings.frozen import table as frozen_table
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.store import FrozenStore, build_store
from embeddings.frozen.table import FrozenTable

DTYPES = ("float32", "float16", "int8")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DTYPES)
def store(request, tmp_path: Path) -> FrozenStore:
    vectors = np.random.default_rng(1).normal(size=(9, 5))
    return build_store(str(tmp_path / "s"), np.arange(9) * 10, vectors, dtype=request.param)


def test_cpu_tensors_are_the_memory_map(store: FrozenStore) -> None:
    table = FrozenTable(store)
    assert table.table.data_ptr() == store.vectors.ctypes.data
    assert table.table.dtype == getattr(torch, store.dtype)
    assert (table.scale is None) == (store.dtype != "int8")
    if table.scale is not None:
        assert table.scale.data_ptr() == store.scale.ctypes.data
    assert table.width == 5


def test_replicated_is_a_copy_of_this_ranks_own(store: FrozenStore) -> None:
    table = FrozenTable(store, placement="replicated")
    assert table.table.data_ptr() != store.vectors.ctypes.data
    assert np.array_equal(table.table.numpy(), store.vectors)
    assert table.scale is None or np.array_equal(table.scale.numpy(), store.scale)
    assert FrozenTable(store).table.data_ptr() == store.vectors.ctypes.data, "auto is host on CPU"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("block", [1, 30, 1 << 20])
def test_rows_are_checked_as_they_are_copied(store: FrozenStore, device: str, block: int, monkeypatch) -> None:
    monkeypatch.setattr(frozen_table, "BLOCK_BYTES", block)
    FrozenTable(store, device, "replicated")
    store.vectors[[4, 7]] = 0 if store.dtype == "int8" else np.nan  # in this process alone
    with pytest.raises(InputError, match=r"the vector of id 40 is (zero|not finite); 2 of 9 rows are wrong"):
        FrozenTable(store, device, "replicated")


@pytest.mark.parametrize("device", DEVICES)
def test_kernels_see_the_same_in_every_placement(store: FrozenStore, device: str) -> None:
    rows = FrozenRows(*(torch.tensor(x, device=device) for x in ([1, -1, 4], [0, 5, -1, 8, 2], [0, 2, 2, 5])))
    draw = torch.Generator().manual_seed(0)
    parameters = [torch.randn(s, generator=draw).to(device) for s in [(3, 20), (3,), (3,), (3,)]]
    host, replicated = (FrozenTable(store, device, placement) for placement in ("host", "replicated"))
    assert (
        torch.equal(host.tier_counts(rows, 6), replicated.tier_counts(rows, 6))
        and replicated.tier_counts(rows, 6).sum() == 4
    )
    torch.testing.assert_close(host.attention(rows, *parameters), replicated.attention(rows, *parameters))


@pytest.mark.parametrize("placement", ["auto", "host", "replicated"])
@pytest.mark.parametrize("device", DEVICES)
def test_gather(store: FrozenStore, device: str, placement: str) -> None:
    rows = np.array([[3, -1, 8], [0, 3, -1]])
    vectors = FrozenTable(store, device, placement).gather(torch.from_numpy(rows).to(device))
    assert vectors.dtype == torch.float32 and vectors.device.type == device
    scale = 1 if store.scale is None else store.scale[rows][..., None]
    expected = np.where((rows >= 0)[..., None], store.vectors[rows].astype(np.float32) * scale, 0)
    assert np.array_equal(vectors.cpu().numpy(), expected)
    norms = np.linalg.norm(expected, axis=-1)
    np.testing.assert_allclose(norms, rows >= 0, atol=1e-3)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (2, 0), ()])
def test_gather_keeps_empty_and_scalar_shapes(store: FrozenStore, shape: tuple) -> None:
    assert FrozenTable(store).gather(torch.zeros(shape, dtype=torch.int64)).shape == (*shape, 5)


def test_gather_takes_strided_rows_and_leaves_the_table_alone(store: FrozenStore) -> None:
    before = store.vectors.copy()
    table = FrozenTable(store)
    rows = torch.tensor([[1, -1], [4, 2], [-1, 7]])
    assert torch.equal(table.gather(rows.t()), table.gather(rows.t().contiguous()))
    assert np.array_equal(store.vectors, before)


@pytest.mark.parametrize("row", [-2, 9])
def test_rows_out_of_range_are_never_answered(store: FrozenStore, row: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match="out of range"):
        FrozenTable(store).gather(torch.tensor([0, row]))


def test_modules_optimizers_and_state_dicts_do_not_see_it(store: FrozenStore) -> None:
    module = torch.nn.Linear(2, 2)
    module.frozen = FrozenTable(store)
    assert set(module.state_dict()) == {"weight", "bias"}
    assert len(list(module.parameters())) == 2 and not list(module.buffers()) and not list(module.children())


def test_cosines_are_those_of_the_gathered_vectors(store: FrozenStore) -> None:
    """Alone or beside SimTier's counts, which stay as they are; bags of their own and shared ones."""
    table, target = FrozenTable(store), torch.tensor([3, -1, 5, 3])
    history, offsets = torch.tensor([1, -1, 4, 2, 8, 0]), torch.tensor([0, 2, 2, 5, 6])
    for bag_index in (None, torch.tensor([2, 2, 0, 3])):
        rows = FrozenRows(target, history, offsets, bag_index)
        bags = [0, 1, 2, 3] if bag_index is None else bag_index.tolist()
        pairs = [(t, h) for t, u in zip(target, bags, strict=True) for h in history[offsets[u] : offsets[u + 1]]]
        expected = [float(table.gather(t).double() @ table.gather(h).double()) for t, h in pairs]
        counts, cosines = table.tier_counts_and_cosines(rows, 7)
        assert torch.equal(counts, table.tier_counts(rows, 7)) and counts.sum() > 0
        assert torch.equal(cosines, table.cosines(rows)) and cosines.shape == (len(pairs), 1)
        np.testing.assert_allclose(cosines[:, 0].numpy(), expected, atol=1e-6)
