"""Model titles for tables and plots, such as "ID + SimTier + MAKE"."""

from collections.abc import Mapping

from recsys.models.config import DEFAULT_ARCH

MAKE_ALONE = "make alone"  # mode of a run that trains a MAKE without an ID model
_PARTS = {"vector": "Vector", "simscore": "SimScore", "simtier": "SimTier", "make": "MAKE", "sa_ta": "SA-TA"}


def mode_title(mode: str) -> str:
    """The title of a model in which every modality has ``mode``.

    Args:
        mode: "none", "make alone", or parts joined by "+", such as "simtier+make+sa_ta". A part that has no title here
            stands as it is.
    """
    return "MAKE alone" if mode == MAKE_ALONE else " + ".join(["ID", *_parts(mode)])


def model_title(mode: str, modes: Mapping[str, str] | None = None, arch: str | None = None) -> str:
    """The title of a model whose modalities may differ in mode: "ID + image: Vector + text: SimTier".

    Args:
        mode: of the whole model, as run.json has it; used where ``modes`` is empty, or a MAKE is trained alone.
        modes: modality -> its mode.
        arch: ``model.arch``; any but the default is put in front: "toy: ID + SimTier".
    """
    if mode == MAKE_ALONE:
        return mode_title(mode)
    used = {name: own for name, own in (modes or {}).items() if own != "none"}
    if not modes or len(set(modes.values())) == 1:
        title = mode_title(next(iter(modes.values())) if modes else mode)
    else:
        title = "ID" + "".join(f" + {name}: {' + '.join(_parts(own))}" for name, own in used.items())
    return title if arch in (None, DEFAULT_ARCH) else f"{arch}: {title}"


def _parts(mode: str) -> list[str]:
    return [_PARTS.get(part, part) for part in mode.split("+") if part != "none"]
