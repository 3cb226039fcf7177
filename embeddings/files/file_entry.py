"""What a manifest says of a file: its bytes and its SHA-256, and the check against both."""

import hashlib
from pathlib import Path

from pydantic import ConfigDict, Field

from embeddings.errors import InputError, first_line
from embeddings.validation import Strict

_CHUNK = 4 << 20


class FileEntry(Strict):
    """Size and digest of one file."""

    model_config = ConfigDict(strict=True)

    bytes: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def of(cls, path: Path) -> "FileEntry":
        """The entry of the file at ``path``. Raises OSError."""
        return cls(bytes=path.stat().st_size, sha256=sha256(path))

    def check(self, path: Path, content: bool, fix: str) -> None:
        """Refuse a file of another size, and, with ``content``, of another digest.

        Args:
            fix: what to do about it, such as "copy it again".

        Raises InputError.
        """
        try:
            if not path.is_file():  # a pipe would be waited for
                raise InputError(f"'{path}' is missing, or no file; {fix}")
            size = path.stat().st_size
            if size != self.bytes:
                raise InputError(f"'{path}' has {size:,} bytes instead of {self.bytes:,}: it is truncated; {fix}")
            if content and sha256(path) != self.sha256:
                raise InputError(f"'{path}' has changed since it was written; {fix}")
        except OSError as error:
            raise InputError(f"'{path}' cannot be read ({first_line(error)}); {fix}") from None


def sha256(path: Path) -> str:
    """Digest of a file, in hexadecimal. The interpreter is free for other threads meanwhile. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
