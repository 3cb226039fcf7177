"""The formats that are fuzzed, a module each."""

from tests.fuzz.case import Format
from tests.fuzz.formats import (
    assumptions,
    checkpoint,
    config,
    encoder_folder,
    exported,
    hardware,
    make_folder,
    metrics,
    overrides,
    pairs,
    parquet,
    plan,
    progress,
    run_folder,
    schema,
    store,
)

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (config, overrides, schema, plan, hardware, assumptions, store, checkpoint, progress, encoder_folder,
                   make_folder, run_folder, metrics, parquet, pairs, exported)
}  # fmt: skip
