"""What tables and plots call the modes of a CTR model."""

_TITLES = {
    "none": "ID",
    "vector": "ID + Vector",
    "simscore": "ID + SimScore",
    "simtier": "ID + SimTier",
    "make": "ID + MAKE",
    "simtier+make": "ID + SimTier + MAKE",
}


def mode_title(mode: str) -> str:
    """The title of ``model.multimodal.mode``, such as ID + SimTier + MAKE."""
    return _TITLES[mode]
