"""The reader of YAML files: what is data and what is refused, bounded; and what is written reads back as it was."""

import datetime
import subprocess
import sys

import pytest
import yaml

from embeddings.errors import InputError
from embeddings.files.plain_scalars import Plain, typed
from embeddings.files.yaml_file import MOST_BYTES, MOST_DEPTH, MOST_VALUES, parse_yaml, read_yaml, to_yaml, write_yaml
from tests.conftest import ROOT


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "file 'x'")
    message = str(caught.value)
    assert message.startswith("file 'x' is not readable YAML: ") and "\n" not in message and len(message) < 500
    return message


def test_text_without_quotes_stays_as_it_was_typed():
    data = parse_yaml("a: 1_1\n2024-11-30: [on, 12:30, 1e3, true, 010, null, ~, '5', \"null\"]\nb:\n", "x")
    assert data == {"a": "1_1", "2024-11-30": ["on", "12:30", "1e3", "true", "010", None, None, "5", "null"], "b": None}
    assert isinstance(data["a"], Plain) and not isinstance(data["2024-11-30"][-2], Plain)
    assert typed(data)["2024-11-30"] == ["on", "12:30", 1000.0, True, "010", None, None, "5", "null"]


def test_anchors_aliases_and_merge_keys():
    data = parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, &t text, *t]\nd: {<<: [{x: 0}, *a]}\n", "x")
    assert typed(data["b"]) == {"y": 3, "x": 1} and typed(data["c"]) == [{"x": 1, "y": 2}, "text", "text"]
    assert typed(data["d"]) == {"x": 0, "y": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1,\nb: {", "did not find expected node content"),
        ("a: !!python/object/apply:os.system [x]", "tag 'tag:yaml.org,2002:python/object/apply:os.system' is not read"),
        ("a: !!set {b}", "tag 'tag:yaml.org,2002:set' is not read"),
        ("a: !!binary aGk=", "tag 'tag:yaml.org,2002:binary' is not read"),
        ("a: !!timestamp 2024-11-30", "tag 'tag:yaml.org,2002:timestamp' is not read"),
        ("a: !mine 1", "tag '!mine' is not read"),
        ("a: 1\nb: 2\na: 3", "line 3: key 'a' is there twice; remove one"),
        ("1: x\n1: y", "line 2: key '1' is there twice"),
        ("? [a]\n: 1", "line 1: a key is text, this is ['a']; quote it"),
        ("~: 1", "a key is text, this is None"),
        ("a: ${oc.env:HOME}", "line 1: '${oc.env:HOME}' has '${', and nothing is filled in here"),
        ("${a}: 1", "nothing is filled in here"),
        ("a: 'x ${b}'", "nothing is filled in here"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins"),
        ("- *b", "alias *b repeats nothing that is whole by then"),
        ("&a [*a]", "alias *a repeats nothing that is whole by then"),
        ("a: {<<: 1}", "'<<' takes the keys of mappings, this is '1'"),
        ("a: \0", "control characters are not allowed"),
        ("a: \ud800", "surrogates not allowed"),
        ("{" * (MOST_DEPTH + 1), f"more than {MOST_DEPTH} levels are nested"),
        ("[" * 300_000, f"more than {MOST_DEPTH} levels are nested"),
        ("- " * 300_000, f"more than {MOST_DEPTH} levels are nested"),
        ("[" + "1," * MOST_VALUES + "]", f"more than {MOST_VALUES:,} values"),
        ("a: &a " + 100_000 * "x" + "\nb: [" + 200 * "*a," + "]", f"line 2: more than {MOST_VALUES:,} values"),
    ],
)
def test_what_is_refused(text, says):
    assert says in refused(text)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{to}: &{to} [{','.join(['*' + of] * 9)}]\n" for of, to in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{to}: &{to} {{p: *{of}, q: *{of}, <<: *{of}}}\n"
    for of, to in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)


BOMBS = [LAUGHS, MERGES, "[" * 500_000, "{a: " * 200_000, "? " * 400_000, "'" + "x" * MOST_BYTES]


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_take_little_memory(bomb, tmp_path):
    (tmp_path / "bomb.yaml").write_text(bomb)
    code = (
        "import sys, re, resource; from embeddings.files.yaml_file import InputError, read_yaml\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try: read_yaml(sys.argv[1], 'file')\n"
        "except InputError: print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "bomb.yaml"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout, done.stderr[-500:]
    assert int(done.stdout) < 200 << 10, "KiB"


def test_large_files_are_refused_unread_and_large_schemas_are_read(tmp_path):
    with open(tmp_path / "huge.yaml", "wb") as out:
        out.truncate(5 << 30)
    with pytest.raises(InputError, match="has more than 4,096 KiB, more than any such file"):
        read_yaml(tmp_path / "huge.yaml", "schema")
    tables = {f"table_{i}": {"num_embeddings": 10**6, "embedding_dim": 64, "ids": "hash"} for i in range(2000)}
    write_yaml(tmp_path / "schema.yaml", {"tables": tables})
    assert typed(read_yaml(tmp_path / "schema.yaml", "schema")) == {"tables": tables}


def test_files_of_other_systems(tmp_path):
    path = tmp_path / "20241130.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: x\r\nb: [1, 2]\r\n")
    assert typed(read_yaml(path, "config")) == {"a": "x", "b": [1, 2]}
    path.write_bytes(b"# only words\n")
    assert read_yaml(path, "config") == {}
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(InputError, match=r"config '.*' is not readable YAML: line 2 is not UTF-8 text"):
        read_yaml(path, "config")
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "b.yaml", "hardware file")
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path, "hardware file")


WORDS = [
    *("1_1", "on", "true", "12:30", "1e3", "2024-11-30", "5", "0x1f", "010", "null", "~", "", "1.5", ".inf", "nan"),
    *("a #b", "a: b", "=", "<<", "[x", "{x", "'x", '"x"', "*a", "&a", "!t", "%x", "@x", "- x", "? x", " x ", "x\ny"),
    "\u00e9",
]


def test_what_is_written_reads_back(tmp_path):
    value = {
        "words": {word or "empty": word for word in WORDS},
        "list": WORDS,
        "numbers": [1, -2, 1.5, 1e-08, 1e300, True, False, None],
        "nothing": [{}, []],
        "plain": Plain("5"),
    }
    value["again"] = value["list"]
    write_yaml(tmp_path / "a.yaml", value)
    assert typed(read_yaml(tmp_path / "a.yaml", "file")) == value
    assert "&id" not in to_yaml(value)
    old = yaml.safe_load(to_yaml(value))
    assert old == value and not any(isinstance(word, datetime.date) for word in old["list"]), "other readers agree"
