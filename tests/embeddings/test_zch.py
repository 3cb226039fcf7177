"""ZCH tables: their buckets, what is refused, and the modules that TorchRec gets."""

import pytest

from embeddings.errors import InputError
from embeddings.sharding import sharders
from embeddings.tables import TableConfig, module_name
from embeddings.zch import buckets, check_zch, zch_bag_collection, zch_sequence_collection


@pytest.mark.parametrize(
    ("rows", "parts"), [(1, 1), (511, 1), (1023, 1), (1024, 2), (2048, 4), (1 << 19, 1024), (10**9, 1024)]
)
def test_buckets_are_a_power_of_two_and_not_too_small(rows: int, parts: int):
    assert buckets(rows) == parts


def test_no_zch_table_is_nothing_to_refuse():
    check_zch({}, "cpu", 7)
    check_zch({"item": 1 << 20, "user": 4096}, "cuda", 8)


@pytest.mark.parametrize(
    ("rows", "device", "ranks", "said"),
    [
        (4096, "cpu", 1, r"tables \['item'\] have ids: zch, which needs CUDA .* set their ids to hash"),
        (10_000_001, "cuda", 1, r"must be a multiple of its 1024 buckets; set num_embeddings to 10000384 in"),
        (4096, "cuda", 3, r"has 8 buckets, which 3 ranks cannot share evenly"),
        (4096, "cuda", 16, r"has 8 buckets, which 16 ranks cannot share evenly"),
    ],
)
def test_what_cannot_run_is_refused(rows: int, device: str, ranks: int, said: str):
    with pytest.raises(InputError, match=said) as caught:
        check_zch({"item": rows}, device, ranks)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["item", "items"])
@pytest.mark.parametrize(("make", "pooled"), [(zch_bag_collection, True), (zch_sequence_collection, False)])
@pytest.mark.filterwarnings("ignore")  # what torch and TorchRec say of each other
def test_the_modules_are_on_the_meta_device_and_have_a_sharder(make, pooled: bool, name: str):
    table = TableConfig(
        name=name, num_embeddings=4096, embedding_dim=8, features=("a", "b"), pooled=pooled, mean_length=(1.0, 1.0)
    )
    module = make([table])
    parameters = dict(module.named_parameters())
    assert {p.device.type for p in parameters.values()} == {"meta"}
    (ids,) = [p for key, p in parameters.items() if key.endswith(f"{module_name(name)}._hash_zch_identities")]
    assert ids.shape == (4096, 1) and not ids.requires_grad, "no optimizer may touch the ids"
    (sharder,) = [s for s in sharders() if s.module_type is type(module)]
    assert sharder.sharding_types("cuda") == ["row_wise"]
    assert list(sharder.shardable_parameters(module)) == [module_name(name)]
