"""Exported models: what a trained run leaves its machine as, on disk and opened for scoring.

models/shop/                 one model
    current.json             the version that scorers take; replaced atomically
    000001/, 000002/ ...     versions, each whole and never changed again
        manifest.json        where it comes from, the architecture's config, tables, stores, SHA-256 of every file
        schema.yaml          the schema that it was trained with
        dense.safetensors    parameters of the architecture
        tables/NAME.npy      [N, D] float32, float16 or int8; memory-mapped, so that all processes of a host share it
        tables/NAME.scale.npy    [N] float32, int8 only: row r is table[r] * scale[r]
        tables/NAME.trained.npy  [ceil(N / 8)] uint8, a bit a row: whether training changed it
        warmup.json          requests to answer before traffic comes
        READY                SHA-256 of manifest.json; the last file that is written
    000001.d/                deltas of that version, where training goes on: recsys/exported/delta.py

Nothing in it is executed, and frozen vectors are not in it: the manifest names their stores by checksum.
"""
