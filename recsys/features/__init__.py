"""Raw columns into model input: types, checks, truncation, id hashing, shared histories, batch assembly.

Nothing here knows parquet files, ranks or threads; ``arrow_columns`` alone knows Arrow, the others do without it. So
whoever holds rows as plain arrays makes the same ``Batch`` of them as the training reader does of files, by the same
code. To score N candidates of one user with one history:

    fields = needed_fields(schema, with_labels=False)                           # columns.py
    arrays = {
        "user": np.full(N, user),                                               # [N] int64
        "item": candidates,                                                     # [N] int64
        "history": Ragged.from_ranges(history, np.zeros(N, int), np.full(N, len(history))),  # N times the same bag
    }
    block = build_row_block(schema, fields, arrays, place="request 17")         # raw_columns.py
    batch, counters = BatchAssembler(schema, stores, with_labels=False)(block, slice(0, N))   # batch_assembly.py

The reader does the same with what ``arrow_columns.arrow_values`` makes of a row group's columns.
"""
