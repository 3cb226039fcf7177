"""Refuses tables with zero-collision hashing where they cannot run, before any rank waits for another."""

import os

from embeddings.errors import InputError
from embeddings.zch import check_zch
from recsys.schema import load_schema, zch_tables
from train.ctr.config import Config
from train.distributed.device import choose_device


def refuse_zch(config: Config) -> None:
    """End every rank where the schema's ZCH tables cannot run on its device.

    Needs no process group. Raises InputError on rank 0, SystemExit with status 2 on the others.
    """
    device = choose_device(config.process.device, int(os.environ.get("LOCAL_RANK", 0)))
    try:
        check_zch(zch_tables(load_schema(config.data.path)), device.type, int(os.environ.get("WORLD_SIZE", 1)))
    except InputError:
        if os.environ.get("RANK", "0") == "0":
            raise
        raise SystemExit(2) from None
