"""The generated language: words tell of style and category, and no two numbers share a word."""

import numpy as np

from recsys.datasets.shop.market import STYLE_DIM, unit
from recsys.datasets.shop.titles import FILLERS, NOUNS, STYLE_WORDS, Language, word


def styles(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, STYLE_DIM), np.float32))


def test_every_number_has_its_own_word():
    numbers = [*range(5000), *range(343_000 - 2000, 343_000 + 2000), 10**7]
    words = [word(n) for n in numbers]
    assert len(set(words)) == len(numbers) and all(w.isascii() and w.isalpha() for w in words)
    assert not set(words) & set(FILLERS)


def test_words_tell_the_style_although_few_are_shared():
    language, style = Language(3), styles(300)
    category = np.zeros(300, np.int64)
    meaning = {word(i): vector for i, vector in enumerate(language._meaning)}
    texts = {
        "title": language.titles(np.random.default_rng(0), style, category),
        "query": language.queries(np.random.default_rng(1), style, category),
    }
    for lines, least in ((texts["title"], 0.75), (texts["query"], 0.65)):
        guess = unit(np.stack([sum(meaning[w] for w in line.split() if w in meaning) for line in lines]))
        assert (guess * style).sum(axis=1).mean() > least
    pairs = zip(texts["title"], texts["query"], strict=True)
    shared = [len(set(t.split()) & set(q.split()) & set(meaning)) for t, q in pairs]
    assert 0 < np.mean(shared) < 1  # of four


def test_nouns_name_the_category():
    language, rng = Language(0), np.random.default_rng(0)
    category = np.repeat([0, 7], 200)
    nouns = [{w for w in t.split() if len(w) > 2} for t in language.titles(rng, styles(400), category)]
    all_nouns = {c: {word(STYLE_WORDS + 200 + NOUNS * c + n) for n in range(NOUNS)} for c in (0, 7)}
    for words, its_category in zip(nouns, category.tolist(), strict=True):
        assert len(words & all_nouns[its_category]) == 1 and not words & all_nouns[7 - its_category]


def test_same_seed_same_language():
    one, same, other = (Language(seed).titles(np.random.default_rng(0), styles(5), np.arange(5)) for seed in (1, 1, 2))
    assert one == same != other
