"""ZCH, zero-collision hashing: each id gets a row of its own while there are free ones (TorchRec's multi-probe hash).

An id's bucket follows from the id, and so does where in the bucket its search for a free row begins; both stay when
ranks are added or taken away, as long as every rank holds whole buckets. Where a search finds nothing free, ids share a
row again. Rows are never taken back. FBGEMM inserts ids on CUDA only; its CPU function just looks them up.

A model keeps the collections as sparse.managed_bags and sparse.managed_sequences (TorchRec says managed collisions):
names that checkpoints and plan.json have.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from embeddings.errors import InputError

if TYPE_CHECKING:
    from torchrec.distributed.embedding import EmbeddingCollectionSharder
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
    from torchrec.modules.mc_embedding_modules import (
        ManagedCollisionEmbeddingBagCollection,
        ManagedCollisionEmbeddingCollection,
    )
    from torchrec.modules.mc_modules import ManagedCollisionCollection

    from embeddings.tables import TableConfig

_MOST_BUCKETS = 1024  # of a table; so many ranks may share one
_LEAST_ROWS = 512  # of a bucket: a few times the probes, so that few searches come round
_PROBES = 128


def buckets(rows: int) -> int:
    """Buckets of a ZCH table of ``rows`` rows: a power of two, up to 1024."""
    return min(_MOST_BUCKETS, 1 << max(0, (rows // _LEAST_ROWS).bit_length() - 1))


def check_zch(rows: dict[str, int], device: str, world_size: int) -> None:
    """Refuse ZCH tables that cannot run here. Imports no torch, so a process can begin with it.

    Args:
        rows: name -> rows of the ZCH tables.
        device: cpu or cuda.

    Raises InputError without CUDA, and where rows or ranks do not fit the buckets.
    """
    if rows and device != "cuda":
        raise InputError(
            f"tables {sorted(rows)} have ids: zch, which needs CUDA (FBGEMM cannot insert ids on {device}); "
            f"run on GPUs, or set their ids to hash in schema.yaml"
        )
    for name, count in rows.items():
        parts = buckets(count)
        if count % parts:
            raise InputError(
                f"table '{name}' with ids: zch has {count} rows, which must be a multiple of its {parts} buckets; "
                f"set num_embeddings to {-(-count // parts) * parts} in schema.yaml"
            )
        if parts % world_size:
            raise InputError(
                f"table '{name}' with ids: zch has {parts} buckets, which {world_size} ranks cannot share evenly; "
                f"start a power of two of ranks, at most {parts}, or raise its num_embeddings"
            )


def zch_bag_collection(tables: Sequence["TableConfig"]) -> "ManagedCollisionEmbeddingBagCollection":
    """``bag_collection`` of ZCH tables, on the meta device; its output is a pair, the KeyedTensor first."""
    from torchrec.modules.mc_embedding_modules import ManagedCollisionEmbeddingBagCollection

    from embeddings.tables import bag_collection

    collection = bag_collection(tables)
    return ManagedCollisionEmbeddingBagCollection(
        collection, _rows_of_ids(tables, collection.embedding_bag_configs()), return_remapped_features=False
    )


def zch_sequence_collection(tables: Sequence["TableConfig"]) -> "ManagedCollisionEmbeddingCollection":
    """``sequence_collection`` of ZCH tables, on the meta device; its output is a pair, the JaggedTensors first."""
    from torchrec.modules.mc_embedding_modules import ManagedCollisionEmbeddingCollection

    from embeddings.tables import sequence_collection

    collection = sequence_collection(tables)
    return ManagedCollisionEmbeddingCollection(
        collection, _rows_of_ids(tables, collection.embedding_configs()), return_remapped_features=False
    )


def _rows_of_ids(tables: Sequence["TableConfig"], configs: Iterable) -> "ManagedCollisionCollection":
    """The modules that find each table's row of an id: at most ``_PROBES`` probes in its bucket."""
    import torch
    from torchrec.modules.hash_mc_modules import HashZchManagedCollisionModule
    from torchrec.modules.mc_modules import ManagedCollisionCollection, ManagedCollisionModule

    from embeddings.tables import module_name

    modules: dict[str, ManagedCollisionModule] = {
        module_name(t.name): HashZchManagedCollisionModule(
            zch_size=t.num_embeddings,
            device=torch.device("meta"),
            total_num_buckets=buckets(t.num_embeddings),
            max_probe=_PROBES,
            name=module_name(t.name),
        )
        for t in tables
    }
    return ManagedCollisionCollection(modules, list(configs), need_preprocess=False)


def zch_sharders(bags: "EmbeddingBagCollectionSharder", sequences: "EmbeddingCollectionSharder") -> list:
    """TorchRec's sharders of both ZCH collections.

    They shard ids row-wise over the ranks; ``bags`` and ``sequences`` shard the embeddings.
    """
    from torchrec.distributed.mc_embedding import ManagedCollisionEmbeddingCollectionSharder
    from torchrec.distributed.mc_embeddingbag import ManagedCollisionEmbeddingBagCollectionSharder

    return [
        ManagedCollisionEmbeddingBagCollectionSharder(ebc_sharder=bags),
        ManagedCollisionEmbeddingCollectionSharder(ec_sharder=sequences),
    ]
