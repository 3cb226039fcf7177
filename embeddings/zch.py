"""Managed tables: each id gets a row of its own while there are free ones (TorchRec's multi-probe zero-collision hash).

An id's bucket follows from the id, and so does where in the bucket its search for a free row begins; both stay when
ranks are added or taken away, as long as every rank holds whole buckets. Where a search finds nothing free, ids share a
row again. Rows are never taken back. FBGEMM inserts ids on CUDA only; its CPU function just looks them up.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from embeddings.errors import InputError

if TYPE_CHECKING:
    from torchrec.modules.mc_embedding_modules import (
        ManagedCollisionEmbeddingBagCollection,
        ManagedCollisionEmbeddingCollection,
    )

    from embeddings.tables import TableConfig

_MOST_BUCKETS = 1024  # of a table; so many ranks may share one
_LEAST_ROWS = 512  # of a bucket: a few times the probes, so that few searches come round
_PROBES = 128


def buckets(rows: int) -> int:
    """Buckets of a managed table of ``rows`` rows: a power of two, up to 1024."""
    return min(_MOST_BUCKETS, 1 << max(0, (rows // _LEAST_ROWS).bit_length() - 1))


def check_managed(rows: dict[str, int], device: str, world_size: int) -> None:
    """Refuse managed tables that cannot run here. Cheap enough for the first moment of a process.

    Args:
        rows: name -> rows of the managed tables.
        device: cpu or cuda.

    Raises InputError without CUDA, and where rows or ranks do not fit the buckets.
    """
    if rows and device != "cuda":
        raise InputError(
            f"tables {sorted(rows)} have ids: managed, which needs CUDA (FBGEMM cannot insert ids on {device}); "
            f"run on GPUs, or set their ids to hash in schema.yaml"
        )
    for name, count in rows.items():
        parts = buckets(count)
        if count % parts:
            raise InputError(
                f"table '{name}' with ids: managed has {count} rows, which must be a multiple of its {parts} buckets; "
                f"set num_embeddings to {-(-count // parts) * parts} in schema.yaml"
            )
        if parts % world_size:
            raise InputError(
                f"table '{name}' with ids: managed has {parts} buckets, which {world_size} ranks cannot share evenly; "
                f"start a power of two of ranks, at most {parts}, or raise its num_embeddings"
            )


def managed_bags(tables: Sequence["TableConfig"]) -> "ManagedCollisionEmbeddingBagCollection":
    """As ``bag_collection``; its output is a pair, the KeyedTensor first. On the meta device."""
    from torchrec.modules.mc_embedding_modules import ManagedCollisionEmbeddingBagCollection

    from embeddings.tables import bag_collection

    collection = bag_collection(tables)
    return ManagedCollisionEmbeddingBagCollection(
        collection, _rows_of_ids(tables, collection.embedding_bag_configs()), return_remapped_features=False
    )


def managed_sequences(tables: Sequence["TableConfig"]) -> "ManagedCollisionEmbeddingCollection":
    """As ``sequence_collection``; its output is a pair, the dict of JaggedTensors first. On the meta device."""
    from torchrec.modules.mc_embedding_modules import ManagedCollisionEmbeddingCollection

    from embeddings.tables import sequence_collection

    collection = sequence_collection(tables)
    return ManagedCollisionEmbeddingCollection(
        collection, _rows_of_ids(tables, collection.embedding_configs()), return_remapped_features=False
    )


def _rows_of_ids(tables: Sequence["TableConfig"], configs: Iterable):
    import torch
    from torchrec.modules.hash_mc_modules import HashZchManagedCollisionModule
    from torchrec.modules.mc_modules import ManagedCollisionCollection

    from embeddings.tables import module_name

    modules = {
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


def managed_sharders(bags, sequences) -> list:
    """Sharders of both kinds: the ids row-wise over ranks, with ``bags`` and ``sequences`` sharding the embeddings."""
    from torchrec.distributed.mc_embedding import ManagedCollisionEmbeddingCollectionSharder
    from torchrec.distributed.mc_embeddingbag import ManagedCollisionEmbeddingBagCollectionSharder

    return [
        ManagedCollisionEmbeddingBagCollectionSharder(ebc_sharder=bags),
        ManagedCollisionEmbeddingCollectionSharder(ec_sharder=sequences),
    ]
