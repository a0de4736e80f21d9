"""Train DeePMD-kit's `se_e2_a` on liquid water, for `liquid.py`; freeze and compress it.

It runs in the environment of the peers (``pip install "deepmd-kit[cpu]==3.2.0" mpich``), so that it
imports nothing of qmd:

    python _deepmd_train.py DATA.npz FOLDER --steps 8000

`DATA.npz` has `Z, R, E, F, cell, stretch` (eV, angstrom). The frames of stretch 0 are fitted, those
of stretch 1 are the test. Networks, cut-off and weights of the loss are those of DeePMD-kit's
example of water; the learning rate falls from 2e-3 to 1e-5 over the steps. In `FOLDER` are then
`plain.pb`, `compressed.pb` and `training.json`, with time and errors. The same command goes on
where it was stopped.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "DP_INTRA_OP_PARALLELISM_THREADS": "1"})
os.environ["DP_INTER_OP_PARALLELISM_THREADS"] = "1"
SYMBOLS = {8: 0, 1: 1}
"""Places of the elements in the type map."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--judged", type=int, help="frames of the test; default: all")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write_frames(options.data, options.folder)
    (options.folder / "input.json").write_text(json.dumps(settings(options.steps), indent=1))
    if not (options.folder / "plain.pb").exists():
        train(options.folder)
        command(options.folder, "freeze", "-o", "plain.pb")
    if not (options.folder / "compressed.pb").exists():
        command(options.folder, "compress", "-i", "plain.pb", "-o", "compressed.pb")
    seconds = json.loads((options.folder / "seconds.json").read_text())
    report = {"steps": options.steps, "cpu_seconds": sum(seconds)} | errors(options)
    (options.folder / "training.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))


def write_frames(data, folder):
    import numpy as np

    frames = np.load(data)
    kinds = [SYMBOLS[z] for z in frames["Z"].reshape(-1, frames["R"].shape[1])[0].tolist()]
    fitted = frames["stretch"] == 0
    one = folder / "frames" / "set.000"
    one.mkdir(parents=True, exist_ok=True)
    n = int(fitted.sum())
    cells = np.broadcast_to(frames["cell"], (len(fitted), 3, 3))
    arrays = {"coord": frames["R"], "energy": frames["E"], "force": frames["F"], "box": cells}
    for name, array in arrays.items():
        np.save(one / f"{name}.npy", array[fitted].reshape(n, -1))
    (one.parent / "type.raw").write_text("\n".join(map(str, kinds)))
    (one.parent / "type_map.raw").write_text("O\nH\n")


def settings(steps):
    return {
        "model": {
            "type_map": ["O", "H"],
            "descriptor": {
                "type": "se_e2_a", "sel": [46, 92], "rcut_smth": 0.5, "rcut": 6.0,
                "neuron": [25, 50, 100], "resnet_dt": False, "axis_neuron": 16, "seed": 1,
            },
            "fitting_net": {"neuron": [240, 240, 240], "resnet_dt": True, "seed": 1},
        },
        "learning_rate": {
            "type": "exp", "start_lr": 2e-3, "stop_lr": 1e-5, "decay_steps": max(1, steps // 40),
        },
        "loss": {
            "type": "ener", "start_pref_e": 0.02, "limit_pref_e": 1, "start_pref_f": 1000,
            "limit_pref_f": 1, "start_pref_v": 0, "limit_pref_v": 0,
        },
        "training": {
            "training_data": {"systems": ["frames"], "batch_size": 1},
            "numb_steps": steps, "seed": 1, "disp_freq": 100, "save_freq": 100,
        },
    }  # fmt: skip


def train(folder):
    """Train to the last step; keep the CPU seconds of each session."""
    clock = folder / "seconds.json"
    before = json.loads(clock.read_text()) if clock.exists() else []
    restart = ["--restart", "model.ckpt"] if (folder / "checkpoint").exists() else []
    try:
        command(folder, "train", "input.json", *restart)
    finally:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        clock.write_text(json.dumps([*before, used.ru_utime + used.ru_stime]) + "\n")


def command(folder, *words):
    dp = Path(sys.executable).with_name("dp")
    subprocess.run([dp, "--tf", *words], cwd=folder, check=True)


def errors(options):
    """Return root mean squares over the frames of stretch 1."""
    import numpy as np
    from deepmd.infer import DeepPot

    frames = np.load(options.data)
    kinds = [SYMBOLS[z] for z in frames["Z"].reshape(-1, frames["R"].shape[1])[0].tolist()]
    test = np.flatnonzero(frames["stretch"] == 1)[: options.judged]
    cells = np.broadcast_to(frames["cell"], (len(frames["R"]), 3, 3))
    found = {}
    for name in ("plain", "compressed"):
        model = DeepPot(str(options.folder / f"{name}.pb"))
        energies, forces = [], []
        for i in test:
            e, f, _ = model.eval(frames["R"][i].reshape(1, -1), cells[i].reshape(1, -1), kinds)
            energies.append((e.ravel()[0] - frames["E"][i]) / len(kinds))
            forces.append(f[0] - frames["F"][i])
        rms = [float(1e3 * np.sqrt(np.mean(np.square(part)))) for part in (energies, forces)]
        found[name] = {"energy_rmse_meV_per_atom": rms[0], "forces_rmse_meV_per_A": rms[1]}
    return {"frames": len(test), "errors": found}


if __name__ == "__main__":
    main()
