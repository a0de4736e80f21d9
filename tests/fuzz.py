"""Fuzz what qmd reads: `python tests/fuzz.py --cases 10000 --json FILE [TARGET ...]`.

Cases run in children with a limit of memory and of time, many in each. The same command goes on
where an earlier one stopped. `--docs FILE` writes the table of the file between the markers of a
page. Exit code 1: there is a finding.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "true")
sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]

import pages  # noqa: E402
from fuzz_targets import TARGETS  # noqa: E402
from fuzzing import in_child, prepared, warm  # noqa: E402

EACH = 250
"""Cases of one child."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--cases", type=int, default=10_000, help="for each target")
    parser.add_argument("--seed", type=int, default=1, help="of the first child of each target")
    parser.add_argument("--json", type=Path, required=True, help="counts, kept after each child")
    parser.add_argument("--docs", type=Path, help="page whose table is written anew")
    options = parser.parse_args()
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    for target in options.targets:
        one = found.setdefault(
            target,
            {"cases": 0, "seeds": [options.seed, options.seed], "ends": {}, "findings": [],
             "peak_MB": 0, "date": ""},
        )  # fmt: skip
        if one["cases"] >= options.cases:
            continue
        with prepared(target) as folder:
            warm(target, folder)
            while one["cases"] < options.cases:
                number = min(EACH, options.cases - one["cases"])
                add(one, in_child(target, folder, number, one["seeds"][1]))
                save(options.json, found)
    if options.docs:
        pages.write(options.docs, "fuzz", table(found))
    for target, one in found.items():
        print(f"{target}: {one['cases']} cases, {len(one['findings'])} findings")
        print(*one["findings"], sep="\n\n")
    return any(one["findings"] for one in found.values())


def add(one: dict, child: dict) -> None:
    """Add what a child has found."""
    one["cases"] += child["cases"]
    one["ends"] = dict(Counter(one["ends"]) + Counter(child["ends"]))
    one["findings"] += child["findings"]
    one["peak_MB"] = max(one["peak_MB"], child["peak_MB"])
    one["seeds"][1] += 1
    one["date"] = time.strftime("%Y-%m-%d")


def save(path: Path, found: dict) -> None:
    """Write the counts."""
    path.with_suffix(".tmp").write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".tmp").rename(path)


def table(found: dict) -> str:
    """Return the counts as a table."""
    lines = [
        "| what | cases | read | refused | findings | peak of memory | seeds | date |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for target, one in found.items():
        read = one["ends"].get("read", 0)
        refused = sum(n for word, n in one["ends"].items() if word.startswith("exit code"))
        first, beyond = one["seeds"]
        lines.append(
            f"| {target} | {one['cases']} | {read} | {refused} | {len(one['findings'])} | "
            f"{one['peak_MB']} MB | {first} to {beyond - 1} | {one['date']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
