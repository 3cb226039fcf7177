"""MovieLens as CTR rows: the public folders ml-100k and ml-latest-small, and others in the latter's format.

Every rating is a row, a click where it is at least 4. The history is what the user clicked in seconds strictly before.
Of a user's ratings in time order, 80 % are train, 10 % validation and 10 % test; a second's stay in the earlier split.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from embeddings.errors import InputError
from recsys.datasets.io.data_folder import data_folder, write_description
from recsys.datasets.io.flags import check_at_least
from recsys.datasets.io.item_content import write_pictures, write_titles
from recsys.datasets.io.split_writer import SplitCount, row_group_rows, take_rows, write_split
from recsys.datasets.io.text_lines import headed, number, separated, wrong_line
from recsys.datasets.io.timeline import Timeline
from recsys.features.ragged import Ragged
from recsys.schema import Feature, Schema, TableSchema

CLICK = 4  # stars
SPLITS = {"train": (0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1)}
LARGEST_ID = 10**7  # ids are table rows, so an id sets the table's size
LAST_SECOND, LAST_YEAR = 2**33, 2100
RATINGS = ["userId", "movieId", "rating", "timestamp"]
GENRES = (  # of ml-100k, in the order of its 19 columns
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
).split()


@dataclass(frozen=True, kw_only=True)
class MovieLensConfig:
    """What makes the rows, besides the source files. ``seed`` mixes the train rows."""

    history: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, history=1, seed=0)


@dataclass(frozen=True)
class Movie:
    title: str
    year: int  # 0: not known
    genres: list[str]


def prepare(
    source: str, out: str, config: MovieLensConfig | None = None, *, posters: str | None = None, overwrite: bool = False
) -> dict[str, SplitCount]:
    """Write the MovieLens folder ``source`` as a data folder ``out``; return what each split holds.

    ``posters`` is a folder of <movieId>.jpg. Raises InputError for a missing or malformed source file (naming the
    line), a poster folder without posters, or an ``out`` that cannot be written.
    """
    config = config or MovieLensConfig()
    with data_folder(out, overwrite=overwrite) as folder:
        old = (Path(source) / "u.data").exists()
        movies = read_movies(Path(source) / ("u.item" if old else "movies.csv"))
        ratings = read_ratings(Path(source) / ("u.data" if old else "ratings.csv"), movies)
        genres = sorted({genre for movie in movies.values() for genre in movie.genres} or {"none"})
        counts = _write_splits(folder, ratings, movies, genres, config)
        write_titles(folder, {item: movie.title for item, movie in movies.items()})
        pictures = write_pictures(folder, posters, np.array(sorted(movies))) if posters else {}
        facts = {"users": np.unique(ratings[:, 0]).size, "items": len(movies), "genres": genres, **pictures}
        schema = _schema(int(ratings[:, 0].max()) + 1, max(movies) + 1, len(genres), config.history)
        write_description(folder, schema, "movielens", asdict(config), counts, **facts)
    return counts


def read_movies(path: Path) -> dict[int, Movie]:
    """The movies of u.item or movies.csv. Raises InputError.

    u.item is latin-1 without a header: id|title|release date|video date|URL|19 flags. movies.csv is
    movieId,title,genres, the year in brackets behind the title.
    """
    old = path.suffix == ".item"
    lines = separated(path, "|", 5 + len(GENRES), "latin-1") if old else headed(path, ["movieId", "title", "genres"])
    movies: dict[int, Movie] = {}
    for line, (item, title, *rest) in lines:
        if old:
            year = rest[0][-4:]  # of 01-Jan-1995
            flags = zip(GENRES, rest[3:], strict=True)
            genres = [genre for genre, flag in flags if number(path, line, f"genre {genre}", flag, 0, 1)]
        else:
            year = match[1] if (match := re.search(r"\((\d{4})\)\s*$", title)) else ""
            genres = [] if rest[0] == "(no genres listed)" else rest[0].split("|")
        key = int(number(path, line, "movie id", item, 1, LARGEST_ID))
        if key in movies:
            raise wrong_line(path, line, f"movie {key} again", "one line a movie")
        movies[key] = Movie(title, int(number(path, line, "year", year or "0", 0, LAST_YEAR)), genres)
    return movies


def read_ratings(path: Path, movies: dict[int, Movie]) -> np.ndarray:
    """u.data (TAB, no header) or ratings.csv, sorted by user, time and movie. Raises InputError.

    returns  [R, 4]  int64 user, movie, twice the stars, second
    """
    lines = separated(path, "\t", 4, "ascii") if path.suffix == ".data" else headed(path, RATINGS)
    rows = []
    for line, (user, item, stars, time) in lines:
        twice = 2 * number(path, line, "rating", stars, 0.5, 5, whole=False)
        if twice % 1:
            raise wrong_line(path, line, f"rating is {stars!r}", "halves from 0.5 to 5")
        if (movie := number(path, line, "movie id", item, 1, LARGEST_ID)) not in movies:
            raise wrong_line(path, line, f"movie {item} is not in the list of movies", "movies of that list")
        second = number(path, line, "timestamp", time, 0, LAST_SECOND)
        rows.append((number(path, line, "user id", user, 1, LARGEST_ID), movie, twice, second))
    if not rows:
        raise InputError(f"'{path}' has no ratings; get the file again")
    ratings = np.array(rows, np.int64)
    return ratings[np.lexsort((ratings[:, 1], ratings[:, 3], ratings[:, 0]))]


def _write_splits(
    folder: Path, ratings: np.ndarray, movies: dict[int, Movie], genres: list[str], config: MovieLensConfig
) -> dict[str, SplitCount]:
    user, item, twice, time = ratings.T
    label = (twice >= 2 * CLICK).astype(np.int8)
    timeline = Timeline(user, time)
    ids = {genre: n for n, genre in enumerate(genres)}
    bags = Ragged.from_lists([[ids[genre] for genre in movies[i].genres] for i in item.tolist()])
    year = np.array([movies[i].year for i in item.tolist()], np.int64)
    columns = {"label": label, "user": user, "item": item, "timestamp": time, "year": year, "genres": bags}
    columns["history"] = timeline.clicks_before(item, label, config.history)
    counts = {}
    for split, (low, high) in SPLITS.items():
        rows = np.flatnonzero((timeline.share >= low) & (timeline.share < high))
        if split == "train":  # rows mixed on disk suit a reader that shuffles in a window
            rows = np.random.default_rng(config.seed).permutation(rows)
        counts[split] = write_split(folder / split, take_rows(columns, rows), row_group_rows(config.history))
    return counts


def _schema(users: int, items: int, genres: int, history: int) -> Schema:
    sizes = {"user": users, "item": items, "year": LAST_YEAR + 1, "genre": genres}
    return Schema(
        timestamp="timestamp",
        tables={name: TableSchema(num_embeddings=rows, ids="identity") for name, rows in sizes.items()},
        features=[
            *(Feature(name=name, kind="id", table=name) for name in ("user", "item", "year")),
            Feature(name="genres", kind="bag", table="genre", max_length=len(GENRES)),
            Feature(name="history", kind="sequence", table="item", target="item", max_length=history),
        ],
    )
