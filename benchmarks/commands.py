"""The benchmarks' command lines, ``python -m benchmarks.NAME``: each NAME, and what it measures or writes."""

COMMANDS = {
    "kernels": "time and memory of SimTier, MAKE's attention and DIN's, beside eager PyTorch, FBGEMM and torch.compile",
    "training.step": "training speed beside plain PyTorch and FuxiCTR, and where a step's time goes",
    "training.checkpoint": "share of training time that one checkpoint a minute costs",
    "serving": "parity, speed, swaps, memory and faults of the scorer, beside plain PyTorch behind the same HTTP stack",
    "live": "the live index beside LMDB and Redis: look-ups under writes, SimTier through it, memory of its readers",
    "data.memory": "memory while reading a data set ten times as large as a limit",
    "data.conversion": "memory while converting TAOBAO-MM's shards, larger than a limit",
    "data.large_tables": "collisions of many distinct ids, sampled and counted in full",
    "frozen": "network bytes, time and host memory of frozen tables over ranks",
    "frozen.precision": "GAUC of trained SimTier models with fewer bits in each vector",
    "planner": "the planner's memory and step times beside measured ones; calibrates its unit costs",
    "planner.scaling": "docs/scaling.md: what the planner says of TAOBAO-MM on 8 to 512 H100s",
    "paper": "the paper's tables and figures, with the runs that they need",
    "paper.chain": "the whole method on generated pictures and titles: SCL, encode, MAKE, CTR",
    "peers.fuxictr.peer": "FuxiCTR's DIN on our rows, in an environment of its own",
    "render": "the tables of README.md and docs/*.md, from the rows in benchmarks/results",
}
