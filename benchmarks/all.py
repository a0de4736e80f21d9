"""Run every benchmark and write all of `results/`, the table of targets last.

python benchmarks/all.py            # about a quarter of an hour
python benchmarks/all.py --only md_loop force
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = (
    "md_loop", "force", "kernel", "batch", "training", "replicas", "startup", "output",
    "networks",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Run every benchmark and write all of `results/`.",
        epilog="Example: python benchmarks/all.py --only md_loop force",
    )
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="SCRIPT")
    for name in parser.parse_args().only:
        result = HERE / "results" / name
        files = ["--json", f"{result}.json", "--markdown", f"{result}.md"]
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, str(HERE / f"{name}.py"), *files], check=True)
    subprocess.run([sys.executable, str(HERE / "targets.py")], check=True)


if __name__ == "__main__":
    main()
