"""Stream position: how far training has come in a stream of numbered files."""

from pydantic import Field

from embeddings.validation import Count, Strict


class StreamPosition(Strict):
    """A place between two rows of a stream.

    run_id      of the near-line training that has come so far; positions of two are not compared
    number      of the file that comes next, or that is half read
    row         rows of that file that were taken
    event_time  seconds since 1970, the latest of all rows before; None where no file has told any
    """

    run_id: str = Field(pattern="^[0-9a-f]{32}$")
    number: Count
    row: Count = 0
    event_time: float | None = None

    def reaches(self, other: "StreamPosition") -> bool:
        """Whether it is at ``other``, or beyond."""
        return (self.number, self.row) >= (other.number, other.row)
