"""Refuses tables with zero-collision hashing where they cannot run, before any rank waits for another."""

from embeddings.errors import InputError
from embeddings.zch import check_zch
from recsys.schema import load_schema, zch_tables
from train.ctr.config import Config
from train.distributed.device import choose_device
from train.distributed.launcher import read_launcher


def refuse_zch(config: Config) -> None:
    """End every rank where the schema's ZCH tables cannot run on its device.

    Needs no process group. Raises InputError on rank 0, SystemExit with status 2 on the others.
    """
    launched = read_launcher()
    device = choose_device(config.process.device, launched.local_rank, launched.local_world_size)
    try:
        check_zch(zch_tables(load_schema(config.data.path)), device.type, launched.world_size)
    except InputError:
        if launched.rank == 0:
            raise
        raise SystemExit(2) from None
