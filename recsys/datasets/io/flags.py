"""Range checks of the flags of python -m train prepare."""

from embeddings.errors import InputError


def check_at_least(settings: object, **lowest: int) -> None:
    """Raise InputError where an attribute of ``settings`` is below its lowest allowed value."""
    for name, low in lowest.items():
        if (value := getattr(settings, name)) < low:
            raise InputError(f"{name} is {value}; allowed: at least {low}")
