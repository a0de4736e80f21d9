"""Kill runs of all kinds at random moments: `python tests/kills.py --kills 1000 --json FILE`.

The same command goes on where an earlier one stopped; `--kind KIND` kills runs of one kind until
there are that many kills of it. `--docs FILE` writes the table of the file
between the markers of a page.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]

import pages  # noqa: E402
from forked import Lab  # noqa: E402
from killed_runs import KINDS, MODULES, Killed, kill_all  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all kinds")
    parser.add_argument("--json", type=Path, required=True, help="counts, kept after each run")
    parser.add_argument("--docs", type=Path, help="page whose table is written anew")
    options = parser.parse_args()
    found = {kind: Killed() for kind in KINDS}
    if options.json.exists():
        kept = json.loads(options.json.read_text())
        options.seed = kept["seed"]
        found |= {kind: Killed(**one) for kind, one in kept["kinds"].items()}
    chosen = {kind: found[kind] for kind in options.kind or KINDS}
    if sum(one.kills for one in chosen.values()) < options.kills:
        kill(options, found, chosen)
    if options.docs:
        pages.write(options.docs, "kills", table(json.loads(options.json.read_text())))
    failures = [line for one in found.values() for line in one.failures]
    print(sum(one.kills for one in found.values()), "kills;", len(failures), "failures", *failures)
    return len(failures) > 0


def kill(options: argparse.Namespace, found: dict[str, Killed], chosen: dict[str, Killed]) -> None:
    """Kill runs of the chosen kinds; keep what is found after each of them."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as programs:
        os.environ |= {  # a training compiles for longer than it runs
            "JAX_COMPILATION_CACHE_DIR": programs,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        with Lab(*MODULES) as lab:
            for _ in kill_all(Path(folder), lab, options.kills, options.seed, chosen):
                save(options.json, options.seed, found)


def save(path: Path, seed: int, found: dict[str, Killed]) -> None:
    """Write the counts."""
    content = {
        "date": time.strftime("%Y-%m-%d"),
        "seed": seed,
        "kinds": {kind: asdict(one) for kind, one in found.items()},
    }
    path.with_suffix(".tmp").write_text(json.dumps(content, indent=2) + "\n")
    path.with_suffix(".tmp").rename(path)


def table(content: dict) -> str:
    """Return the counts as a table, with their sum."""
    lines = [
        "| runs | kills | of them at a file operation | finished | with other bytes |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    total = [0, 0, 0, 0]
    for kind, one in content["kinds"].items():
        row = [one["kills"], one["at_operation"], one["runs"], len(one["failures"])]
        total = [a + b for a, b in zip(total, row, strict=True)]
        lines.append(f"| {kind} | " + " | ".join(map(str, row)) + " |")
    lines.append("| all | " + " | ".join(map(str, total)) + " |")
    return "\n".join([*lines, "", f"Seed {content['seed']}, {content['date']}."])


if __name__ == "__main__":
    sys.exit(main())
