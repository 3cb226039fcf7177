"""Scores one request by an exported model in this process, as a program that imports the scorer would."""

import sys

from embeddings.errors import InputError, for_terminal

SCORER = "scorer"  # the word that stands for this among commands


def score_in_process(model: str) -> int:
    """Open the model in folder ``model`` and score a request; the exit status that a command would have."""
    from serve import Scorer

    context = {"user": 3, "history": [1, 2, 3, 1000, -1]}
    candidates = {"item": [1, 2, 60, -5], "tags": [[], [1], [2, 3], [99]], "price": [0.5, 1, 2, 3.5]}
    try:
        answer = Scorer(model).score(context, candidates)
    except InputError as error:
        print(f"error: {for_terminal(str(error))}", file=sys.stderr, flush=True)
        return error.status
    print(f"version {answer.version}: {answer.scores.tolist()}")
    return 0
