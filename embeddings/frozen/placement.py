"""Where a frozen table lives: a copy on every device, one copy on every host, or rows over all ranks."""

PLACEMENTS = ("replicated", "host", "row_wise")
_CPU_COPIES = 0.25  # share of the free memory that copies of one frozen table may take


def choose_placement(bytes: int, free_hbm_bytes: int, free_ddr_bytes: int, device_type: str, ranks_of_host: int) -> str:
    """The placement of a frozen table of ``bytes`` bytes that is to be placed ``auto``: a pure function of sizes.

    On CUDA, fastest first: a copy in each device's own memory; rows over the ranks, where only counts and pooled
    vectors travel; a pinned copy on the host, each row of which crosses PCIe (B * L * M bytes a step and rank).
    On CPU a copy for each rank, in huge pages, is up to twice as fast as the mapping that ranks of a host share; it is
    worth a quarter of the free memory.

    Args:
        bytes: vectors and scales of the whole table.
        free_hbm_bytes: on one device, after ID tables, dense part and activations; 0 on CPU.
        free_ddr_bytes: of one host, all its ranks together, after the same.
        device_type: cpu or cuda.
        ranks_of_host: ranks that share the host, at least 1.

    Returns:
        replicated, host or row_wise. row_wise where nothing else fits: whether the rows of all ranks fit is for the
        planner's report to say.
    """
    assert ranks_of_host >= 1, ranks_of_host
    if device_type == "cpu":
        if bytes * ranks_of_host <= _CPU_COPIES * free_ddr_bytes:
            return "replicated"
        return "host" if bytes <= free_ddr_bytes else "row_wise"
    if bytes <= free_hbm_bytes:
        return "replicated"
    if ranks_of_host > 1 and -(-bytes // ranks_of_host) <= free_hbm_bytes:
        return "row_wise"
    return "host" if bytes <= free_ddr_bytes else "row_wise"
