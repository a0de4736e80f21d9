"""Train atom-centred networks on rMD17, and write docs/rmd17.md.

    python runs/rmd17/study.py                            # all; goes on where it was stopped
    python runs/rmd17/study.py --rows ethanol-950 all     # some
    python runs/rmd17/study.py --seeds 1                  # a first look at all
    python runs/rmd17/study.py --rows                     # none: only the page and its plots

Labels are `MOLECULE_train_01.npz` and `MOLECULE_test_01.npz` in --data, which `split.py` makes of
the public files of rMD17.
Results are kept in `results.json`, seed by seed; one whose settings have changed is made again.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import MISSING, asdict, fields
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import report
from rows import ROWS, Row
from train import SETTINGS, train

from qmd.io import files

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
DATA = HERE.parents[2] / "shared" / "data" / "rmd17"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", type=int, default=3, help="at most so many of each row")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labels")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    open_jobs = [
        (seed, name)
        for seed in range(arguments.seeds)
        for name in arguments.rows
        if seed < ROWS[name].seeds and not known(results, name, seed)
    ]
    if open_jobs and not arguments.data.is_dir():
        sys.exit(f"there is no {arguments.data}: runs/rmd17/split.py makes it of the public files")
    context, failed = get_context("spawn"), []
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        jobs = {
            pool.submit(train, ROWS[name], seed, arguments.data): (name, seed)
            for seed, name in open_jobs
        }
        begin = time.monotonic()
        for done, job in enumerate(as_completed(jobs), 1):
            name, seed = jobs[job]
            if error := job.exception():
                failed.append(f"{name}, seed {seed}: {type(error).__name__}: {error}")
                print(failed[-1], flush=True)
                continue
            results.setdefault(name, {})[str(seed)] = job.result()
            files.write_text(RESULTS, json.dumps(results, indent=1, sort_keys=True))
            errors = job.result()["errors"]["test"]
            print(
                f"{done} of {len(jobs)}, {time.monotonic() - begin:.0f} s: {name}, seed {seed}: "
                + ", ".join(map(in_words, errors.items())),
                flush=True,
            )
    report.write(results)
    if failed:
        sys.exit(f"{len(failed)} trainings failed")


def in_words(item):
    molecule, e = item
    return f"{molecule} {e['energy_mae_meV']:.1f} meV {e['forces_mae_meV_per_A']:.1f} meV/A"


def known(results, name, seed):
    """Tell if there is a result of these very settings; one that is not there was the default."""
    found = results.get(name, {}).get(str(seed))
    if found is None:
        return False
    defaults = {f.name: f.default for f in fields(Row) if f.default is not MISSING}
    then, now = (found["settings"], defaults | found["row"]), (SETTINGS, asdict(ROWS[name]))
    return json.dumps(then, sort_keys=True) == json.dumps(now, sort_keys=True)


if __name__ == "__main__":
    main()
