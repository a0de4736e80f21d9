"""Follow the memory of a long run: `python tests/memory.py --json FILE [--docs FILE]`.

A run writes frames, rows and checkpoints for five minutes, as any other; its resident memory, and
the largest so far, are read every ten seconds. Exit code 1: after the first minute one of them
grows by more than 4 MB.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]

import pages  # noqa: E402

EVERY_S, SETTLED_S, MOST_MB = 10, 60, 4.0
RUN = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300},
    "steps": 10**9,
    "output": {"trajectory_every": 100, "log_every": 100, "checkpoint_every": 10_000},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--docs", type=Path, help="page whose sentence is written anew")
    options = parser.parse_args()
    found = follow(options.seconds)
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.docs:
        pages.write(options.docs, "memory", sentence(found))
    print(sentence(found))
    return found["growth_MB"] > MOST_MB


def follow(seconds: int) -> dict[str, Any]:
    """Run for so many seconds; return the peak of memory (MB) as it grew, and how much was done."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "input.yaml")
        path.write_text(json.dumps(RUN))
        command = [sys.executable, "-m", "qmd", "run", str(path), "--quiet"]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
        begin, now = time.monotonic(), {}
        while not (Path(name) / "output" / "log.csv").exists():  # what is compiled is no step
            begin = time.monotonic()
            time.sleep(0.1)
        while time.monotonic() - begin < seconds and process.poll() is None:
            time.sleep(EVERY_S)
            now[round(time.monotonic() - begin)] = memory_MB(process.pid)
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        if code != 75:
            raise SystemExit(f"the run ended with exit code {code}")
        last = json.loads((Path(name) / "output" / "run.json").read_text())["last_session"]
    settled = [memory for at, memory in now.items() if at >= min(SETTLED_S, max(now))]
    resident, peaks = zip(*settled, strict=True)
    return {
        "resident_and_peak_MB": now,
        "peak_MB": max(peaks),
        "growth_MB": round(max(peaks[-1] - peaks[0], max(resident) - resident[0]), 1),
        "steps": last["steps"],
        "seconds": max(now),
        "date": time.strftime("%Y-%m-%d"),
    }


def memory_MB(process: int) -> tuple[float, float]:
    """Resident memory of a process now, and the largest so far."""
    status = Path(f"/proc/{process}/status").read_text()
    now, most = (int(status.partition(name)[2].split()[0]) for name in ("VmRSS:", "VmHWM:"))
    return round(now / 1024, 1), round(most / 1024, 1)


def sentence(found: dict[str, Any]) -> str:
    """Return what was found, as a sentence."""
    frames = found["steps"] // RUN["output"]["trajectory_every"]
    return (
        f"In {found['seconds']} s, {found['steps']:,} steps and {frames:,} frames, the peak of the "
        f"memory was {found['peak_MB']} MB; from the first minute to the last it grew by "
        f"{found['growth_MB']} MB; {found['date']}."
    )


if __name__ == "__main__":
    sys.exit(main())
