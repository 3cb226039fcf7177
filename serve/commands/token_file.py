"""--token-file: a file with the token that requests bring, so that it stands in no list of processes."""

from pathlib import Path

from embeddings.errors import InputError, first_line, shown
from embeddings.files.local_path import local_path

_LEAST, _MOST = 16, 4096  # characters


def read_token(path: str | None) -> str | None:
    """The token in the file ``path``, without the white space around it; None for None.

    Raises InputError where the file cannot be read, or holds no token. The error does not say what it holds.
    """
    if path is None:
        return None
    try:
        with Path(local_path(path)).open() as file:
            token = file.read(2 * _MOST).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = first_line(error) if isinstance(error, OSError) else "it is no text"
        raise InputError(f"--token-file {shown(path)} cannot be read ({why}); name a file with a token") from None
    if not _LEAST <= len(token) <= _MOST or not token.isascii() or not token.isprintable():
        raise InputError(
            f"--token-file {shown(path)} holds no token: wanted {_LEAST} to {_MOST:,} printable ASCII characters in "
            f"one line; write such a one into it"
        )
    return token
