"""The table at the end of a fuzz campaign, and its failures by cause."""

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.campaign import Campaign, Row


def print_summary(rows: "list[Row]", campaign: "Campaign") -> int:
    """Print both; 1 where something failed or nothing ran."""
    causes: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        for fault in row.faults:
            kind = fault.partition(":")[0]
            what = row.cause if kind == "traceback" else fault.partition(": ")[2]
            causes[row.format, kind, re.sub(r"/tmp/\S*|\d+\.\d+|\d{4,}", "~", what)[:160]].append((row.case, fault))
    print(f"\n{'format':<12} {'cases':>6} {'failed':>6}  {'worst s':>7} {'worst MiB':>9}  statuses")
    for name in [*campaign.names, "all"]:
        own = [row for row in rows if name in (row.format, "all")]
        failed, seconds = sum(bool(row.faults) for row in own), max((row.seconds for row in own), default=0)
        mib = max((row.peak for row in own), default=0) / 2**20
        counts = Counter(row.statuses[-1] for row in own if row.statuses)
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
        print(f"{name:<12} {len(own):>6} {failed:>6}  {seconds:>7.1f} {mib:>9.0f}  {statuses}")
    for (name, kind, cause), cases in sorted(causes.items(), key=lambda item: (item[0][0], -len(item[1]))):
        number, fault = cases[0]
        print(f"{name} x{len(cases)} [{kind}] {cause}\n    {fault[:200]}")
        print(f"    python -m tests.fuzz --seed {campaign.seed} --format {name} --case {number}")
    failed = sum(bool(row.faults) for row in rows)
    print(f"{len(rows):,} of {campaign.cases:,} cases run, {failed:,} failed")
    return int(failed > 0 or not rows)
