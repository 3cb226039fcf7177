"""Titles and search texts of the generated market, in a language of its own.

Each style word stands for a direction of style, and is the likelier the closer a style lies to it. So texts of like
styles share few words: what a word means must be learned. Nouns name categories; brands and fillers say nothing.
"""

import numpy as np

from recsys.datasets.shop.market import STYLE_DIM, unit

STYLE_WORDS, BRANDS, NOUNS = 1024, 200, 3  # NOUNS: synonyms of each category
CHOOSY = 14.0  # how much closeness to a style decides about a word
TITLE_WORDS, QUERY_WORDS = 6, 4  # style words of each
FILLERS = "new original sale genuine best 2024 style for home gift with free shipping top quality the and set".split()
_ONSETS, _VOWELS = "b d f g k l m n p r s t v z".split(), "a e i o u".split()
_SPREAD = 211_187  # has no divisor in common with the number of syllables, 70


def word(number: int) -> str:
    """The word of a number, one of its own for each: three syllables or more, and close numbers sound unlike."""
    base = len(_ONSETS) * len(_VOWELS)
    above, below = divmod(number, base**3)
    number = above * base**3 + below * _SPREAD % base**3
    syllables: list[str] = []
    while number or len(syllables) < 3:
        number, digit = divmod(number, base)
        syllables.append(_ONSETS[digit % len(_ONSETS)] + _VOWELS[digit // len(_ONSETS)])
    return "".join(syllables)


class Language:
    """What the market's words mean: style words have directions, all else is arbitrary. Set by ``seed``."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 4])
        self._meaning = unit(rng.standard_normal((STYLE_WORDS, STYLE_DIM), np.float32))

    def titles(self, rng: np.random.Generator, style: np.ndarray, category: np.ndarray) -> list[str]:
        """A title of each item: a brand, style words, the category's noun, fillers.

        style     [n, STYLE_DIM]  float32 unit vectors
        category  [n]             int64
        """
        brand = rng.integers(BRANDS, size=len(style))
        filler = rng.integers(len(FILLERS), size=(len(style), 3))
        nouns, words = self._nouns(rng, category), self._style_words(rng, style, TITLE_WORDS)
        return [
            " ".join([word(STYLE_WORDS + b), *w[:3], FILLERS[f[0]], *w[3:], noun, FILLERS[f[1]], FILLERS[f[2]]])
            for b, f, w, noun in zip(brand, filler, words, nouns, strict=True)
        ]

    def queries(self, rng: np.random.Generator, style: np.ndarray, category: np.ndarray) -> list[str]:
        """What one types who wants an item of such a style; arguments as of ``titles``."""
        nouns, words = self._nouns(rng, category), self._style_words(rng, style, QUERY_WORDS)
        named = rng.random(len(style)) < 0.5
        return [" ".join([*w, noun] if n else w) for w, noun, n in zip(words, nouns, named, strict=True)]

    def _style_words(self, rng: np.random.Generator, style: np.ndarray, count: int) -> list[list[str]]:
        """``count`` different words of each style, the likeliest first."""
        score = np.float32(CHOOSY) * style @ self._meaning.T + rng.gumbel(size=(len(style), STYLE_WORDS))
        best = np.argsort(-score, axis=1, kind="stable")[:, :count]
        return [[word(number) for number in row] for row in best.tolist()]

    def _nouns(self, rng: np.random.Generator, category: np.ndarray) -> list[str]:
        numbers = STYLE_WORDS + BRANDS + NOUNS * category + rng.integers(NOUNS, size=category.size)
        return [word(number) for number in numbers.tolist()]
