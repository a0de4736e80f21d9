"""The programs for OpenMM-JAX, compiled from their text in a process without `qmd`."""

from pathlib import Path

import numpy as np
from ase import units
from exports import geometries, native, run_alone, water

from qmd.export.formats import Format, export

# What the plugin does through the C interface of PJRT, here on the CPU.
PJRT = """\
import zipfile
import jax, numpy as np
from jax.extend.backend import get_backend
from jaxlib import xla_client

client = get_backend("cpu")
device = client.local_devices()[0]
options = xla_client.CompileOptions()
x = np.load("positions.npy")
results = {}
with zipfile.ZipFile("water.zip") as archive:
    for name in ("forces", "energy", "energy_and_forces"):
        text = archive.read(name + ".mlir").decode()
        program = client.compile_and_load(text, xla_client.DeviceList((device,)), options)
        outputs = program.execute_sharded([jax.device_put(x, device)])
        for k, output in enumerate(outputs.disassemble_into_single_device_arrays()):
            results[f"{name}_{k}"] = np.asarray(output[0])
np.savez("results.npz", **results)
"""


def test_the_programs_take_and_give_float32_in_the_units_of_openmm(tmp_path: Path) -> None:
    package = water()
    positions = (geometries(package, 1) * units.Ang / units.nm).astype(np.float32)
    np.save(tmp_path / "positions.npy", positions[0])
    export(package, Format.OPENMM_JAX, tmp_path / "water.zip")
    run_alone(PJRT, tmp_path)
    energies, forces = native(package, positions.astype(float) * units.nm)
    kilojoule = units.kJ / units.mol
    with np.load(tmp_path / "results.npz") as found:
        assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
        # The native kernel got the same rounded positions: only the results are rounded, 2^-24.
        for name in ("energy_0", "energy_and_forces_0"):
            np.testing.assert_allclose(found[name], energies[0] / kilojoule, rtol=1e-7)
        expected = forces[0] / (kilojoule / units.nm)
        for name in ("forces_0", "energy_and_forces_1"):
            np.testing.assert_allclose(found[name], expected, rtol=1e-7, atol=1e-9)
        assert len(found) == 4
