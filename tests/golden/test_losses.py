"""Training computes the golden losses: bit for bit where they were made, within tolerances elsewhere.

Every case runs on one rank and on two, through the command line alone. Files of losses are made by
``python -m tests.golden --write``, which says what kind of machine that was: processor, instruction sets, versions.

What was measured on an EPYC with AVX-512, in shares of a curve's mean, the largest of all steps:

* Twice on the same machine, one rank or two: every case gave the same bits. So the test asks for them there.
* The native kernels with AVX2 instead, one rank: the same bits. Portable: up to 3e-7, microlens 1e-6, MAKE alone 1.5e-5
  and the run that takes it 3.1e-5.
* All of torch and the kernels held to AVX2, or to less (TIERWISE_ISA, ATEN_CPU_CAPABILITY, MKL_ENABLE_INSTRUCTIONS,
  ONEDNN_MAX_CPU_ISA), one rank or two: up to 3e-7 for the shop's ID models in every mode, microlens 1.5e-5, MAKE alone
  1.6e-6, texts 6e-6, pictures 5.3e-4, where roundings grow with the steps (and with the learning rate).
* Two threads instead of one, one rank: CTR runs and MAKE have the same bits, but for the run with DCN, 1.8e-7.

A tolerance is ten times the largest of a case or more, and at least 1e-5; where native kernels take part it is at least
1e-4, since AMX, which was not measured, keeps two bfloat16 parts of a number. Metrics of the last validation have an
absolute one each, for pairs of rows, or for texts and pictures a few queries, that change places.

What changes of the code did, to compare: another seed of dropout 4.5e-2, and of withholding MAKE 2e-1; PReLU in DIN
2e-2; a warm-up longer by one step 9e-3; 21 tiers 5.6e-2; 1e-4 as Adagrad's eps 1e-1; tables reset from another seed
2.4e-2; dropout in validation 1.4e-2 of a metric; 0.91 as the momentum encoder's momentum 1.3e-2 on texts and, not seen
within the tolerance, 3e-3 on pictures; 0.01 as AdamW's weight decay 1e-4.
"""

from pathlib import Path

import pytest

from tests.golden.cases import CASES, Case, Runs
from tests.golden.record import differences, read

SLOW = pytest.mark.slow


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data and the runs of all cases are."""
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="session")
def runs(folder: Path) -> Runs:
    """The cases' runs; those that need no public data."""
    return Runs(folder, None)


def cases() -> list:
    """Every case on one rank and on two; all but the quick ones are slow."""
    return [
        pytest.param(case, ranks, id=f"{case.name}-{ranks}", marks=[] if case.quick and ranks == 1 else [SLOW])
        for case in CASES
        for ranks in (1, 2)
    ]


@pytest.mark.parametrize(("case", "ranks"), cases())
def test_losses_are_golden(case: Case, ranks: int, runs: Runs, request: pytest.FixtureRequest) -> None:
    if case.data == "microlens":
        runs.shared_data = request.getfixturevalue("shared_data")
    golden, same_bits = read(case, ranks)
    curves = runs.curves(case, ranks)
    wrong = differences(case, curves, golden, same_bits)
    demanded = "bit for bit" if same_bits else f"losses within {case.tolerance:.0e}, as the kind of machine is another"
    assert not wrong, "\n".join([f"{case.name} on {ranks} ranks, {demanded}:", *wrong])
