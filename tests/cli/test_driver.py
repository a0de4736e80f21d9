"""A real i-PI over a unix socket: path integrals on a packaged potential."""

import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from qmd.cli.app import app
from qmd.interop.ase_calculator import QmdCalculator
from qmd.io.structure import load_system

ROOT = Path(__file__).parents[2]
IPI = Path(sys.executable).with_name("i-pi")
WATER = np.array([[0.0, 0.0, 0.0], [0.97, 0.0, 0.0], [-0.24, 0.94, 0.0]])
needs_ipi = pytest.mark.skipif(not IPI.exists(), reason="needs ipi, of the extra test")

INPUT = """\
<simulation verbosity='low'>
  <output prefix='out'>
    <properties stride='1' filename='log'>
      [step, conserved{{electronvolt}}, potential{{electronvolt}}, kinetic_cv{{electronvolt}}]
    </properties>
    <trajectory stride='{every}' filename='x' format='xyz'>positions{{angstrom}}</trajectory>
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>7</seed></prng>
  <ffsocket mode='unix' name='qmd' pbc='false'>
    <address>{address}</address> <latency>1e-4</latency>
  </ffsocket>
  <system>
    <initialize nbeads='{beads}'>
      <file mode='xyz'>init.xyz</file> <velocities mode='thermal' units='kelvin'>300</velocities>
    </initialize>
    <forces><force forcefield='qmd'/></forces>
    <ensemble><temperature units='kelvin'>300</temperature></ensemble>
    <motion mode='dynamics'>
      <dynamics mode='{ensemble}'>
        <timestep units='femtosecond'>{dt}</timestep>
        <thermostat mode='pile_g'>
          <tau units='femtosecond'>100</tau> <pile_lambda>0.5</pile_lambda>
        </thermostat>
      </dynamics>
    </motion>
  </system>
</simulation>
"""


def path_integrals(folder: Path, **settings) -> tuple[np.ndarray, np.ndarray]:
    """Columns of i-PI's log, and positions (n_beads, n_frames, 3, 3), angstrom."""
    address = f"qmd-{os.getpid()}-{folder.name}"
    folder.mkdir()
    text = INPUT.format(address=address, **({"every": 1, "dt": 0.25} | settings))
    (folder / "input.xml").write_text(text)
    lines = [f"{s} {x} {y} {z}" for s, (x, y, z) in zip("OHH", WATER, strict=True)]
    head = "# CELL(abcABC): 50 50 50 90 90 90 cell{angstrom} positions{angstrom}"
    (folder / "init.xyz").write_text("\n".join(["3", head, *lines, ""]))
    serve(folder, address, "sivqlm-h2o")
    beads = []
    for path in sorted(folder.glob("out.x_*.xyz")):
        rows = [r.split() for r in path.read_text().splitlines()]
        rows = [r for r in rows if r[0] in ("O", "H")]
        beads.append(np.array([[float(c) for c in r[1:]] for r in rows]).reshape(-1, 3, 3))
    return np.loadtxt(folder / "out.log"), np.array(beads)


def serve(folder: Path, address: str, *potential: str) -> None:
    """Run i-PI on `folder`/input.xml, with a driver of the potential, to the end."""
    server = subprocess.Popen(
        [str(IPI), "input.xml"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    command = [sys.executable, "-m", "qmd", "driver", *potential, "--unix", address]
    try:
        subprocess.run(command, check=True, timeout=3000, capture_output=True)
        _, problems = server.communicate(timeout=60)
        assert server.returncode == 0, problems.decode()
    finally:
        server.kill()
        server.wait()
        Path(f"/tmp/ipi_{address}").unlink(missing_ok=True)


@needs_ipi
def test_i_pi_conserves_energy_on_our_forces(tmp_path):
    log, beads = path_integrals(tmp_path / "nve", beads=4, steps=40, ensemble="nve")
    assert log.shape == (41, 4) and beads.shape == (4, 41, 3, 3)
    calculator = QmdCalculator("sivqlm-h2o", absolute=True)
    first = [Atoms("OHH", x, calculator=calculator).get_potential_energy() for x in beads[:, 0]]
    # i-PI's electronvolt, 0.036749326 hartree, has eight digits: 1e-7 of 2080 eV.
    assert log[0, 2] == pytest.approx(np.mean(first), abs=3e-4)
    kinetic = log[0, 1] - log[0, 2]
    assert np.ptp(log[:, 1]) < 0.01 * abs(kinetic)  # (omega dt)^2/8 of the ring polymer's modes


PRESSURE = """\
<properties stride='1' filename='pressure'>
      [virial_md{ev/ang3}, kstress_md{ev/ang3}, stress_md{ev/ang3}, volume{angstrom3}]
    </properties>
    <trajectory"""
BAROSTAT = """\
<barostat mode='isotropic'>
          <tau units='femtosecond'>200</tau>
          <thermostat mode='langevin'><tau units='femtosecond'>100</tau></thermostat>
        </barostat>
        <thermostat mode='pile_g'>"""


@needs_ipi
def test_the_input_for_path_integrals_of_the_liquid_runs(tmp_path):
    text = (ROOT / "runs" / "water-64-path-integrals" / "input.xml").read_text()
    address = f"qmd-{os.getpid()}-liquid"
    for old, new in (
        ("<total_steps>10000<", "<total_steps>2<"),
        ("stride='20'", "stride='1'"),
        ("nbeads='8'", "nbeads='2'"),
        ("<address>water-64<", f"<address>{address}<"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "input.xml").write_text(text)
    system = load_system("water-64", tmp_path, periodic=True)
    box = Atoms(system.numbers, system.positions, cell=system.cell, pbc=True)
    ase.io.write(tmp_path / "start.extxyz", box)
    serve(tmp_path, address, "qnn-water", "--structure", str(tmp_path / "start.extxyz"))
    log = np.loadtxt(tmp_path / "output.log")
    beads = [ase.io.read(path, ":") for path in sorted(tmp_path.glob("output.positions_*.xyz"))]
    assert log.shape == (3, 6) and [len(frames) for frames in beads] == [3, 3]
    energies = []
    for frames in beads:
        atoms = Atoms(box.numbers, frames[-1].positions, cell=box.cell, pbc=True)
        atoms.calc = QmdCalculator("qnn-water", absolute=True)
        energies.append(atoms.get_potential_energy())
    # i-PI's electronvolt is 1e-7 of itself too large, 3e-3 eV of 3e4 eV; its positions have six
    # digits: 576 coordinates with 3e-5 A and 1 eV/A are 1e-3 eV.
    assert log[-1, 5] == pytest.approx(np.mean(energies), abs=6e-3)


@needs_ipi
def test_the_barostat_of_i_pi_is_told_the_virial(tmp_path, monkeypatch):
    # In an NPT run of i-PI the virial is that of the positions, by a strain of the molecule.
    text = INPUT.replace("<trajectory", PRESSURE, 1).replace("<thermostat mode='pile_g'>", BAROSTAT)
    text = text.replace("</temperature>", "</temperature> <pressure units='bar'>1</pressure>")
    monkeypatch.setitem(globals(), "INPUT", text.replace("{ev/ang3}", "{{ev/ang3}}").replace(
        "{angstrom3}", "{{angstrom3}}"))  # fmt: skip
    _, beads = path_integrals(tmp_path / "npt", beads=1, steps=20, ensemble="npt")
    rows = np.loadtxt(tmp_path / "npt" / "out.pressure")
    virial, kinetic, stress, volumes = np.split(rows, [6, 12, 18], axis=1)
    assert len(rows) == 21
    calculator = QmdCalculator("sivqlm-h2o")
    for x, found, volume in zip(beads[0], virial, volumes[:, 0], strict=True):
        expected = strain_virial(x, calculator)[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        # i-PI writes positions to 5e-6 of an angstrom, with force constants of 50 eV/angstrom^2
        # and arms of 1 angstrom; its electronvolt has eight digits.
        np.testing.assert_allclose(found * volume, expected, atol=2e-3)
    assert np.abs(virial * volumes).max() > 0.1
    np.testing.assert_allclose(stress, virial + kinetic, atol=1e-9)


def strain_virial(positions: np.ndarray, calculator: QmdCalculator, h: float = 1e-4) -> np.ndarray:
    """Return ``-dE/d(strain)`` by central differences, eV."""
    virial = np.empty((3, 3))
    for a, b in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h
            atoms = Atoms("OHH", positions @ strain, calculator=calculator)
            energies.append(atoms.get_potential_energy())
        virial[a, b] = -(energies[0] - energies[1]) / (2 * h)
    return virial


@pytest.mark.physics
@needs_ipi
def test_quantum_water_is_longer_and_hotter(tmp_path):
    # 32 beads converge a stretch at 300 K to 1 %; 6 ps, of which the first is left out.
    log, beads = path_integrals(tmp_path / "pimd", beads=32, steps=24_000, ensemble="nvt", every=20)
    lengths = np.linalg.norm(beads[:, 200:, 1:] - beads[:, 200:, :1], axis=-1)
    kinetic = log[4000:, 3].mean()
    # Harmonic: sum of (hbar omega/4) coth(hbar omega / 2 kT) over the modes of the model's minimum,
    # 1610, 3677 and 3783 1/cm, and kT/2 for each of six rigid ones.
    kT, omega = 0.025852, np.array([1609.8, 3677.4, 3783.0]) * 1.239842e-4
    harmonic = float(np.sum(omega / 4 / np.tanh(omega / 2 / kT))) + 3 * kT
    print(f"<r_OH> {lengths.mean():.4f} A, kinetic {kinetic:.4f} eV, harmonic {harmonic:.4f} eV")
    # Classical water on this model has 0.975 A at 300 K (qmd analyze runs/water-langevin).
    assert lengths.mean() > 0.980
    # Anharmonic stretches are softer: a few per cent below.
    assert kinetic == pytest.approx(harmonic, rel=0.05)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets of ASE
def test_a_server_that_is_not_there_is_one_clear_line(capsys):
    with pytest.raises(SystemExit) as end:
        app(["driver", "sivqlm-h2o", "--unix", "nobody-there", "--wait", "0.2"])
    assert end.value.code == 3
    assert "i-PI does not listen at nobody-there" in capsys.readouterr().err
    for arguments in ([], ["--unix", "a", "--port", "31415"]):
        with pytest.raises(SystemExit) as end:
            app(["driver", "sivqlm-h2o", *arguments])
        assert end.value.code == 2 and "either --unix" in capsys.readouterr().err


def test_ports_are_on_this_machine_unless_told_otherwise():
    import inspect

    from qmd.cli.driver import driver

    assert inspect.signature(driver).parameters["host"].default == "localhost"
