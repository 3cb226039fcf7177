"""The peer's loaders: name -> (training file in the converted folder, settings of its RankDataLoader)."""

DEFAULT = "npz-1"  # what RankDataLoader takes when told nothing but the files

LOADERS = {
    DEFAULT: ("train.npz", {"data_format": "npz", "num_workers": 1}),
    "npz-0": ("train.npz", {"data_format": "npz", "num_workers": 0}),
    "npz-2": ("train.npz", {"data_format": "npz", "num_workers": 2}),
    "blocks-1": ("blocks", {"data_format": "npz", "num_workers": 1}),
    "blocks-2": ("blocks", {"data_format": "npz", "num_workers": 2}),
    "parquet": ("train.parquet", {"data_format": "parquet", "num_workers": 1}),
}
