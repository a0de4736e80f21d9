"""DeePMD-kit as a peer of `liquid.py` in a process of its own: reads numbers, writes seconds.

It runs in the environment of the peer, so that it imports nothing of qmd. Usage, by `liquid.py`
only: ``python _liquid_peer.py MODEL.pb START.npz``. A call gives energy, forces and virial of one
geometry through DeePMD-kit's Python interface.
"""

import importlib.util
import json
import os
import sys
import time
from importlib import metadata

os.environ.update({"OMP_NUM_THREADS": "1", "DP_INTRA_OP_PARALLELISM_THREADS": "1"})
os.environ["DP_INTER_OP_PARALLELISM_THREADS"] = "1"
TYPES = {"O": 0, "H": 1}


def main(model, file):
    if importlib.util.find_spec("deepmd") is None:
        say(missing="deepmd-kit is not installed there")
        return
    import numpy as np
    from deepmd.infer import DeepPot

    start = np.load(file)
    potential = DeepPot(model)
    arguments = (
        start["positions"].reshape(1, -1), start["cell"].reshape(1, -1),
        [TYPES[symbol] for symbol in start["symbols"].tolist()],
    )  # fmt: skip
    for _ in range(3):
        potential.eval(*arguments)
    say(ready=1, version=metadata.version("deepmd-kit"))
    for line in sys.stdin:
        begin, busy = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            potential.eval(*arguments)
        say(seconds=time.perf_counter() - begin, cpu_seconds=time.process_time() - busy)


def say(**answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
