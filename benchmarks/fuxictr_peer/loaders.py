"""The peer's loaders: name -> (training file in the converted folder, settings of its RankDataLoader)."""

LOADERS = {
    **{f"npz-{n}": ("train.npz", {"data_format": "npz", "num_workers": n}) for n in (0, 1, 2, 3)},
    **{f"blocks-{n}": ("blocks", {"data_format": "npz", "num_workers": n}) for n in (0, 1, 2, 3)},
    "parquet": ("train.parquet", {"data_format": "parquet", "num_workers": 1}),
}
