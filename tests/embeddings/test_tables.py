"""Table configs as TorchRec collections, and the names of modules in them."""

import torch
from torch import nn
from torchrec.modules.embedding_configs import PoolingType
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.tables import TableConfig, bag_collection, module_name, schema_name, sequence_collection


def config(name: str, features: tuple[str, ...], rows: int = 5, width: int = 3, pooled: bool = True) -> TableConfig:
    return TableConfig(
        name=name,
        num_embeddings=rows,
        embedding_dim=width,
        features=features,
        pooled=pooled,
        mean_length=tuple(1.0 for _ in features),
    )


TABLES = [config("a", ("x", "y")), config("b", ("z",), rows=4, width=2)]


def ids() -> KeyedJaggedTensor:
    """Three rows: x has bags of 2, 0 and 1, y of one each, z of 0, 3 and 0."""
    return KeyedJaggedTensor(
        keys=["x", "y", "z"],
        values=torch.tensor([0, 4, 2, 1, 1, 3, 0, 3, 3]),
        lengths=torch.tensor([2, 0, 1, 1, 1, 1, 0, 3, 0]),
    )


def test_collections_are_on_the_meta_device():
    for collection in (bag_collection(TABLES), sequence_collection([config("s", ("x",), pooled=False)])):
        assert {p.device.type for p in collection.parameters()} == {"meta"}
    assert {c.name: (c.num_embeddings, c.embedding_dim) for c in bag_collection(TABLES).embedding_bag_configs()} == {
        "a": (5, 3),
        "b": (4, 2),
    }


def test_bags_are_sums():
    bags = bag_collection(TABLES)
    assert all(c.pooling == PoolingType.SUM for c in bags.embedding_bag_configs())
    bags.to_empty(device="cpu")
    for weight in bags.parameters():
        torch.nn.init.normal_(weight)
    sums = bags(ids()).to_dict()
    a, b = (bags.embedding_bags[name].weight for name in ("a", "b"))
    zero = torch.zeros(3)
    torch.testing.assert_close(sums["x"], torch.stack([a[0] + a[4], zero, a[2]]))
    torch.testing.assert_close(sums["y"], torch.stack([a[1], a[1], a[3]]))
    torch.testing.assert_close(sums["z"], torch.stack([zero[:2], b[0] + b[3] + b[3], zero[:2]]))


def test_sequences_are_rows_in_order():
    sequences = sequence_collection([config("s", ("x", "y"), pooled=False)])
    sequences.to_empty(device="cpu")
    torch.nn.init.normal_(sequences.embeddings["s"].weight)
    output = sequences(ids())
    weight = sequences.embeddings["s"].weight
    assert torch.equal(output["x"].values(), weight[[0, 4, 2]]) and output["x"].lengths().tolist() == [2, 0, 1]
    assert torch.equal(output["y"].values(), weight[[1, 1, 3]])


def test_names_that_torch_has_taken_get_a_prefix():
    """Every attribute of a ModuleDict as a name of the schema, which never begins with an underscore."""
    taken = [name for name in dir(nn.ModuleDict()) if not name.startswith("_")]
    assert {"items", "type", "values", "training", "forward", "T_destination"} <= set(taken)
    names = {name: module_name(name) for name in taken}
    modules = nn.ModuleDict({key: nn.Identity() for key in names.values()})
    assert list(modules) == list(names.values()) and [schema_name(key) for key in modules] == taken
    assert all(key.startswith("_") and key != "_modules" for key in modules), "so no other name of a schema is the same"


def test_other_names_stay_as_they_are():
    for name in ("item", "history", "modules_", "150_2_180", "item-id"):
        assert module_name(name) == schema_name(name) == name


def test_tables_that_are_called_as_torchs_attributes():
    bags = bag_collection([config("items", ("values",)), config("a", ("type",))])
    assert [name for name, _ in bags.named_parameters()] == [
        f"embedding_bags.{module_name('items')}.weight", "embedding_bags.a.weight"
    ]  # fmt: skip
    assert module_name("type") in sequence_collection([config("type", ("x",), pooled=False)]).embeddings
