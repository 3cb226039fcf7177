"""Encoders of a live index: each has vectors and keys of its own, and one is active; begun, and dropped."""

import itertools

from embeddings.errors import InputError
from embeddings.index import key_layout as layout
from embeddings.index.key_layout import EncoderMeta, State
from embeddings.index.key_store import KeyStore

_REMOVED_AT_ONCE = 100_000  # keys, in one commit


def add_encoder(keys: KeyStore, about: EncoderMeta) -> int:
    """Begin an encoder, which is active where it is the first. Returns its number. The writer's lock is held."""
    with keys.writing() as view:
        number = int(view.get(layout.ENCODERS) or 0) + 1  # never that of one which was dropped: readers may have it
        view.txn.put(layout.ENCODERS, b"%d" % number)
        view.txn.put(layout.prefix(b"e", number), about.model_dump_json().encode())
        view.txn.put(layout.prefix(b"s", number), State(0, 0, 0, 0, ()).packed())
        if not view.active():
            view.txn.put(layout.ACTIVE, b"%d" % number)
    return number


def drop_encoder(keys: KeyStore, number: int, encoder: str) -> None:
    """Give up an encoder and its keys. The writer's lock is held. Raises InputError for the active one."""
    with keys.writing() as view:
        if view.active() == number:
            raise InputError(f"encoder '{encoder}' is live index '{keys.path}''s active one; activate another first")
        for kind in (b"e", b"s"):
            view.txn.delete(layout.prefix(kind, number))
    remove_keys(keys, number)


def remove_keys(keys: KeyStore, number: int) -> None:
    """Remove the ids and the log of an encoder that was dropped."""
    for kind in (b"i", b"l"):
        start, left = layout.prefix(kind, number), True
        while left:
            with keys.writing() as view:
                cursor = view.txn.cursor()
                left = cursor.set_range(start)
                for _ in itertools.repeat(None, _REMOVED_AT_ONCE):
                    left = left and bytes(cursor.key()).startswith(start) and cursor.delete()
                    if not left:
                        break
