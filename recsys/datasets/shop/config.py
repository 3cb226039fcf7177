"""Size of the generated market, checked."""

from dataclasses import dataclass

from embeddings.errors import InputError

LARGEST_USER_ROWS = 10_000  # mean over users, who are never split between blocks


@dataclass(frozen=True, kw_only=True)
class ShopConfig:
    """The market's size. ``users`` and ``items`` of None follow from ``rows``. No ``searches``: no pictures."""

    rows: int = 300_000
    users: int | None = None  # rows / 50
    items: int | None = None  # rows ** 0.75: 13,000 for 300,000 rows, a million for 10^8
    history: int = 30
    width: int = 64
    click_rate: float = 0.17
    searches: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check("rows", 1_000, 10**10)
        if self.users is None:
            object.__setattr__(self, "users", self.rows // 50)
        if self.items is None:
            object.__setattr__(self, "items", round(self.rows**0.75))
        self._check("users", -(-self.rows // LARGEST_USER_ROWS), self.rows)
        self._check("items", 20, 10**9)
        self._check("history", 1, 10_000)
        self._check("width", 2, 65_536)
        self._check("click_rate", 0.001, 0.999)
        self._check("searches", 0, 10**9)
        self._check("seed", 0, 2**63 - 1)

    @property
    def num_users(self) -> int:
        """``users``, once they follow from ``rows`` where none were given."""
        assert self.users is not None
        return self.users

    @property
    def num_items(self) -> int:
        """``items``, likewise."""
        assert self.items is not None
        return self.items

    def _check(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise InputError(f"{name.replace('_', '-')} is {value:,}; allowed: {low:,} to {high:,}")
