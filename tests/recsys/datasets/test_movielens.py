"""MovieLens: every field of both public formats, times, splits, posters, and what malformed lines say."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.datasets.movielens import GENRES, MovieLensConfig, prepare
from recsys.schema import load_schema
from tests.recsys.datasets.folders import digests, rows

# user, movie, stars, second; in no order, with equal seconds, and user 9 rating all at once
RATINGS = [
    (3, 30, 5, 300), (3, 10, 4, 100), (3, 20, 3, 200), (3, 40, 4, 300), (3, 50, 1, 400),
    (3, 11, 5, 500), (3, 12, 2, 600), (3, 13, 4, 700), (3, 14, 5, 800), (3, 15, 3, 900),
    (9, 10, 5, 50), (9, 20, 4, 50), (9, 30, 1, 50),
    (7, 40, 4, 20), (7, 30, 4, 10), (7, 20, 2, 30), (7, 10, 5, 40), (7, 50, 4, 50),
]  # fmt: skip
SPLIT = {"validation": {(3, 14), (7, 50)}, "test": {(3, 15)}}  # places 8 and 9 of 10; 4 of 5 begins at .8
MOVIES = {  # id -> title, year, genres in the formats' own words
    10: ("Caf\xe9 Noir, The (1995)", 1995, ["Comedy", "Drama"]),
    20: ('Say "Hi" (1968)', 1968, []),
    30: ("Untold", 0, ["War"]),
    **{n: (f"Movie {n} (2001)", 2001, ["Drama"]) for n in (40, 50, 11, 12, 13, 14, 15)},
}


def write_100k(folder: Path, extra: bytes = b"", lines: list[str] | None = None) -> str:
    folder.mkdir(exist_ok=True)
    items = []
    for item, (title, year, genres) in MOVIES.items():
        flags = [str(int(genre in genres)) for genre in GENRES]
        date = f"01-Jan-{year}" if year else ""
        items.append("|".join([str(item), title, date, "", "http://us.imdb.com/", *flags]))
    (folder / "u.item").write_bytes(("\n".join(items) + "\n").encode("latin-1") + extra)
    lines = lines if lines is not None else ["\t".join(map(str, rating)) for rating in RATINGS]
    (folder / "u.data").write_text("\n".join([*lines, ""]))
    return str(folder)


def write_latest(folder: Path, extra: str = "", lines: list[str] | None = None) -> str:
    folder.mkdir(exist_ok=True)
    items = ["movieId,title,genres"]
    for item, (title, _, genres) in MOVIES.items():
        quoted = '"' + title.replace('"', '""') + '"' if "," in title or '"' in title else title
        items.append(f"{item},{quoted},{'|'.join(genres) or '(no genres listed)'}")
    (folder / "movies.csv").write_text("\r\n".join([*items, ""]) + extra, encoding="utf-8", newline="")
    lines = lines if lines is not None else [f"{u},{i},{s - 0.5 if s == 3 else float(s)},{t}" for u, i, s, t in RATINGS]
    (folder / "ratings.csv").write_text("\r\n".join(["userId,movieId,rating,timestamp", *lines, ""]), newline="")
    return str(folder)


FORMATS = {"ml-100k": write_100k, "ml-latest-small": write_latest}


def expected(history: int) -> dict[str, list[dict]]:
    """The recipe, one rating at a time."""
    splits = {"train": [], "validation": [], "test": []}
    for user, movie, stars, second in RATINGS:
        before = sorted((t, i) for u, i, s, t in RATINGS if u == user and s >= 4 and t < second)
        split = next((name for name, pairs in SPLIT.items() if (user, movie) in pairs), "train")
        splits[split].append(
            {
                "label": int(stars >= 4),
                "user": user,
                "item": movie,
                "timestamp": second,
                "year": MOVIES[movie][1],
                "genres": MOVIES[movie][2],
                "history": [i for _, i in before][-history:],
            }
        )
    return splits


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("history", [2, 50])
def test_every_field(tmp_path, name, history):
    source = FORMATS[name](tmp_path / name)
    counts = prepare(source, str(tmp_path / "out"), MovieLensConfig(history=history))
    names = json.loads((tmp_path / "out" / "prepare.json").read_text())["genres"]
    for split, wanted in expected(history).items():
        written = [{**row, "genres": [names[g] for g in row["genres"]]} for row in rows(tmp_path / "out", split)]
        assert sorted(written, key=str) == sorted(wanted, key=str)
        assert (counts[split].rows, counts[split].positives) == (len(wanted), sum(row["label"] for row in wanted))


@pytest.mark.parametrize("name", FORMATS)
def test_titles_schema_and_provenance(tmp_path, name):
    prepare(FORMATS[name](tmp_path / name), str(tmp_path / "out"), MovieLensConfig(history=7, seed=2))
    titles = pq.read_table(tmp_path / "out" / "titles.parquet").to_pylist()
    assert titles == [{"item": item, "title": MOVIES[item][0]} for item in sorted(MOVIES)]
    schema = load_schema(str(tmp_path / "out"))
    assert {n: t.num_embeddings for n, t in schema.tables.items()} == {"user": 10, "item": 51, "year": 2101, "genre": 3}
    assert schema.timestamp == "timestamp" and schema.feature("history").max_length == 7
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert (facts["users"], facts["items"], facts["seed"]) == (3, 10, 2)
    assert facts["genres"] == ["Comedy", "Drama", "War"]
    assert not (tmp_path / "out" / "pictures.parquet").exists()


def test_train_is_mixed_by_the_seed_and_the_others_go_by_time(tmp_path):
    lines = [f"1\t{10 + 10 * (n % 5)}\t{n % 5 + 1}\t{1000 - n}" for n in range(100)]
    source = write_100k(tmp_path / "source", lines=lines)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare(source, str(tmp_path / name), MovieLensConfig(seed=seed))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    times = {n: [r["timestamp"] for r in rows(tmp_path / n, "train")] for n in "ac"}
    assert times["a"] != times["c"] and sorted(times["a"]) == sorted(times["c"]) == list(range(901, 981))
    assert [r["timestamp"] for r in rows(tmp_path / "a", "validation")] == list(range(981, 991))


def test_posters_become_rows_of_item_and_bytes(tmp_path):
    posters = tmp_path / "posters"
    posters.mkdir()
    jpeg = {item: b"\xff\xd8\xff" + bytes([item]) * 5 for item in (30, 10, 15)}
    for name, content in {
        **{f"{item}.jpg": content for item, content in jpeg.items()},
        "20.jpg": b"<html>",
        "77.jpg": b"\xff\xd8\xff",
        "cover.txt": b"",
    }.items():
        (posters / name).write_bytes(content)
    prepare(write_latest(tmp_path / "source"), str(tmp_path / "out"), posters=str(posters))
    written = pq.read_table(tmp_path / "out" / "pictures.parquet").to_pylist()
    assert written == [{"item": item, "picture": jpeg[item]} for item in sorted(jpeg)]
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert {k: v for k, v in facts.items() if "picture" in k} == {
        "pictures": 3,
        "pictures_not_jpeg": 1,
        "pictures_of_unknown_items": 2,
        "items_without_picture": 7,
    }


def test_posters_that_are_not_there(tmp_path):
    source = write_latest(tmp_path / "source")
    with pytest.raises(InputError, match=r"poster folder '.*none' does not exist"):
        prepare(source, str(tmp_path / "out"), posters=str(tmp_path / "none"))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="has no JPEG of any of the 10 items"):
        prepare(source, str(tmp_path / "out"), posters=str(tmp_path / "none"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none", "source"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3\t10\t4", r"line 2: 3 fields in '3\\t10\\t4'; allowed: 4 between"),
        ("3 10 4 100", "line 2: 1 fields"),
        ("", "line 2: 1 fields in ''"),
        ("x\t10\t4\t100", "line 2: user id is 'x'; allowed: whole numbers from 1"),
        ("3\t99\t4\t100", "line 2: movie 99 is not in the list"),
        ("3\t10\t6\t100", r"line 2: rating is '6'; allowed: numbers from 0\.5 to 5"),
        ("3\t10\t3.7\t100", "line 2: rating is '3.7'; allowed: halves"),
        ("3\t10\tnan\t100", "line 2: rating is 'nan'"),
        ("3\t10\t4\t-1", "line 2: timestamp is '-1'"),
        ("99999999999\t10\t4\t1", "line 2: user id is '99999999999'"),
    ],
)
def test_a_malformed_rating_is_named(tmp_path, line, message):
    source = write_100k(tmp_path / "source", lines=["3\t10\t4\t100", line, "3\t20\t4\t100"])
    with pytest.raises(InputError, match=r"u\.data' " + message):
        prepare(source, str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("60,Cut", "line 12: no 3 fields in '60,Cut'"),
        ('60,"Open, (1990)\r\n', "line 12: no 3 fields"),
        ("10,Again (1990),Drama\r\n", "line 12: movie 10 again"),
        ("0,Zero (1990),Drama\r\n", "line 12: movie id is '0'"),
    ],
)
def test_a_malformed_movie_is_named(tmp_path, extra, message):
    with pytest.raises(InputError, match=r"movies\.csv' " + message):
        prepare(write_latest(tmp_path / "source", extra), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (b"60|Cut|01-Jan-1990", "line 11: 3 fields"),
        (b"60|Odd|01-Jan-1990|||" + b"|".join([b"2"] * 19), "line 11: genre unknown is '2'"),
        (b"60|Odd|someday|||" + b"|".join([b"0"] * 19), "line 11: year is 'eday'"),
    ],
)
def test_a_malformed_item_is_named(tmp_path, extra, message):
    with pytest.raises(InputError, match=r"u\.item' " + message):
        prepare(write_100k(tmp_path / "source", extra), str(tmp_path / "out"))


@pytest.mark.parametrize(("file", "content", "message"), [
    ("ratings.csv", "user,movie\n1,10\n", "line 1: the header is 'user,movie'; allowed: 'userId"),
    ("ratings.csv", "", "is empty"),
    ("ratings.csv", "userId,movieId,rating,timestamp\n", "has no ratings"),
    ("movies.csv", None, "cannot be read .No such file.*--source is the folder"),
    ("ratings.csv", None, "cannot be read .No such file"),
])  # fmt: skip
def test_a_missing_or_wrong_file_is_named(tmp_path, file, content, message):
    source = write_latest(tmp_path / "source")
    if content is None:
        Path(source, file).unlink()
    else:
        Path(source, file).write_text(content)
    with pytest.raises(InputError, match=rf"{file}' {message}"):
        prepare(source, str(tmp_path / "out"))


def test_bytes_of_another_encoding_are_named(tmp_path):
    source = write_latest(tmp_path / "source")
    with open(Path(source, "movies.csv"), "ab") as file:
        file.write(b"60,Caf\xe9 (1990),Drama\n")
    with pytest.raises(InputError, match=r"movies\.csv' is not utf-8 at byte \d+"):
        prepare(source, str(tmp_path / "out"))


@pytest.mark.parametrize(("flags", "message"), [({"history": 0}, "history is 0"), ({"seed": -1}, "seed is -1")])
def test_flags_out_of_range(flags, message):
    with pytest.raises(InputError, match=message):
        MovieLensConfig(**flags)


def test_a_history_never_holds_its_own_second(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{u}\t{i}\t{rng.integers(1, 6)}\t{rng.integers(1, 20)}" for u in range(1, 30) for i in MOVIES]
    prepare(write_100k(tmp_path / "source", lines=lines), str(tmp_path / "out"))
    everything = [row for split in ("train", "validation", "test") for row in rows(tmp_path / "out", split)]
    clicks = {(row["user"], row["item"]): row["timestamp"] for row in everything if row["label"]}
    assert len(everything) == len(lines)
    for row in everything:
        times = [clicks[row["user"], item] for item in row["history"]]
        assert all(time < row["timestamp"] for time in times) and times == sorted(times)
        assert len(times) == sum(u == row["user"] and t < row["timestamp"] for (u, _), t in clicks.items())
