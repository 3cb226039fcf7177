"""Trains tables with ids: zch on CPU, a stand-in playing FBGEMM's insertion, which CUDA alone has; torchrun starts it.

The stand-in gives every id the first row of its search in its bucket, so that rows do not depend on the order of
arrival, and notes the id there. All around it is as on CUDA: buckets, input exchange, sharded ids, checkpoints. Tables
with ids: hash get the same rows from the reader, and are plain tables otherwise.
"""

from unittest import mock

import numpy as np
import torch
from torchrec.modules.hash_mc_modules import HashZchManagedCollisionModule

from embeddings.zch import buckets
from recsys.features.table_rows import table_rows
from recsys.schema import TableSchema
from tests.train.ctr import plans_worker


def insert(module, input, identities, local_sizes, offsets, readonly, **unused):
    rows = offsets + torch.div(input, module.buckets(), rounding_mode="floor") % local_sizes
    assert (rows >= 0).all() and (rows < identities.shape[0]).all(), "a row of another rank"
    if not readonly:
        identities[rows, 0] = input
    return rows, None


def same_rows(ids: np.ndarray, table: TableSchema, out: np.ndarray) -> None:
    if table.ids != "hash":
        table_rows(ids, table, out)
        return
    table_rows(ids, table.model_copy(update={"ids": "zch"}), out)
    parts = buckets(table.num_embeddings)
    size = table.num_embeddings // parts
    out[...] = out % parts * size + out // parts % size


if __name__ == "__main__":
    with (
        mock.patch.object(HashZchManagedCollisionModule, "_zero_collision_hash", insert),
        mock.patch("train.ctr.build.check_zch"),
        mock.patch("recsys.features.batch_assembly.table_rows", same_rows),
    ):
        plans_worker.main()
