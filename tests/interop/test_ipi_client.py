"""The virial for i-PI is the slope of the energy; what a server sends is checked, and ends."""

import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ase.units
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT
from ase.calculators.socketio import IPIProtocol

from qmd.errors import MismatchError, NumericalError
from qmd.forces.catalogue import load_package
from qmd.interop import ipi_client
from qmd.interop.ase_calculator import QmdCalculator
from qmd.interop.ipi_client import Client, isolated_virial, refuse_wrapped
from qmd.io.structure import load_system

H = 1e-4


@pytest.mark.parametrize("name", ["h2o", "lih", "h2o-dimer"])
def test_the_virial_is_the_derivative_by_a_strain(name):
    system = load_system(name, ".")
    shaken = system.positions + np.random.default_rng(5).uniform(-0.03, 0.03, (system.n_atoms, 3))
    atoms = Atoms(system.symbols, shaken, calculator=QmdCalculator(f"sivqlm-{name}"))
    virial = isolated_virial(shaken, atoms.get_forces())
    for a, b in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * H
            atoms.positions = shaken @ strain
            energies.append(atoms.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * H)
        # The difference is off by h^2/6 times a third derivative of at most 1e4 eV.
        assert virial[a, b] == pytest.approx(-slope, abs=2e-5)
    np.testing.assert_allclose(virial, virial.T, atol=1e-10)


def test_a_virial_does_not_depend_on_the_place():
    rng = np.random.default_rng(6)
    positions, forces = rng.standard_normal((2, 5, 3))
    forces -= forces.mean(axis=0)
    there = isolated_virial(positions + [1e3, -2e3, 3e3], forces)
    # Places of 3e3 have a rounding of 5e-13.
    np.testing.assert_allclose(there, isolated_virial(positions, forces), atol=1e-11)
    np.testing.assert_allclose(there, positions.T @ forces, atol=1e-11)


@pytest.mark.parametrize("wanted", ["stress", "stresses", "virial"])
def test_a_stress_is_refused_and_not_zero(wanted):
    system = load_system("h2o", ".")
    atoms = Atoms(system.symbols, system.positions, calculator=QmdCalculator("sivqlm-h2o"))
    atoms.cell = np.eye(3) * 20
    with pytest.raises(PropertyNotImplementedError):
        atoms.calc.get_property(wanted, atoms)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_a_molecule_that_the_server_has_wrapped_is_refused():
    domain = load_package("sivqlm-h2o", Path()).domain
    water = load_system("h2o", ".").positions
    cell = np.diag([30.0, 40.0, 50.0])
    wrapped = np.where(water < 0, water + 30, water)
    for known in (domain, None):
        refuse_wrapped(water, cell, known)
        with pytest.raises(NumericalError, match="atoms 1 and 3 are 29.2 angstrom apart"):
            refuse_wrapped(wrapped, cell, known)
    with pytest.raises(NumericalError, match="more than half of the cell"):
        refuse_wrapped(wrapped, np.eye(3) * 1e-300, None)
    # In one piece, though the cell is small; nobody knows without the trained distances.
    refuse_wrapped(water, cell / 12, domain)
    with pytest.raises(NumericalError, match="pbc='false'|half of the cell"):
        refuse_wrapped(water, cell / 12, None)
    refuse_wrapped(wrapped, np.zeros((3, 3)), None)


# A server that cannot be trusted

WATER = np.array([[0.0, 0.0, 0.0], [0.97, 0.0, 0.0], [-0.24, 0.94, 0.0]])


class Springs(Calculator):
    """Atoms bound to the origin by 2 eV/angstrom^2, or made-up numbers in place of the energy."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, energy: float | None = None) -> None:
        super().__init__()
        self.energy = energy

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        energy = float((x**2).sum()) if self.energy is None else self.energy
        self.results = {"energy": energy, "forces": -2 * x}


def message(name: str) -> bytes:
    return name.encode().ljust(12)


def posdata(positions: np.ndarray = WATER, n: int | None = None, cell: float = 100.0) -> bytes:
    box = np.diag([cell] * 3)
    count = struct.pack("<i", len(positions) if n is None else n)
    numbers = positions / ase.units.Bohr
    return message("POSDATA") + box.tobytes() + box.tobytes() + count + numbers.tobytes()


@contextmanager
def served(*sent: bytes, keep_open: bool = False, pause_s: float = 0.0) -> Iterator[Client]:
    """Yield a client of a server that sends these bytes, and then closes or waits."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            for data in sent:
                connection.sendall(data)
                time.sleep(pause_s)
            if not keep_open:
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(2**16):  # until the client goes
                pass

    server = threading.Thread(target=serve)
    server.start()
    try:
        with Client(port=listener.getsockname()[1], idle_s=0.3) as client:
            yield client
    finally:
        server.join(10)
        listener.close()
    assert not server.is_alive()


def water(**settings: Any) -> Atoms:
    return Atoms("OHH", WATER, calculator=Springs(**settings))


def test_a_server_gets_energy_forces_and_virial_in_atomic_units() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ended = []

    def drive() -> None:
        with Client(port=listener.getsockname()[1]) as client:
            ended.append(client.run(water()))

    driver = threading.Thread(target=drive)
    driver.start()
    connection, _ = listener.accept()
    with connection, listener:
        protocol = IPIProtocol(connection)
        for shift in (0.0, 0.1):
            x = WATER + shift
            found = protocol.calculate(x, 50 * np.eye(3))
            assert found["energy"] == pytest.approx((x**2).sum(), rel=1e-12)
            np.testing.assert_allclose(found["forces"], -2 * x, rtol=1e-12, atol=1e-12)
            expected = isolated_virial(x, -2 * x)
            np.testing.assert_allclose(found["virial"], expected, rtol=1e-12, atol=1e-12)
        protocol.end()
    driver.join(10)
    assert ended == [True]


INIT = message("INIT") + struct.pack("<ii", 0, 3) + b"abc"


def test_a_session_ends_with_EXIT_or_between_two_messages() -> None:
    for end, said in ((message("EXIT"), True), (b"", False)):
        with served(INIT + message("STATUS") + posdata() + message("GETFORCE") + end) as client:
            assert client.run(water()) is said


NOT_FINITE = WATER.copy()
NOT_FINITE[1, 1] = np.nan
BAD = {
    "garbage": (b"\x00\xff\x1b[2J" * 4, "which is no message"),
    "text": (b"HTTP/1.1 400 Bad Request\r\n", "'HTTP/1.1 400', which is no message"),
    "half a header": (b"STAT", "in the middle of a message"),
    "half of the positions": (posdata()[:-30], "in the middle of a message"),
    "half of a cell": (posdata()[:50], "in the middle of a message"),
    "NaN": (posdata(NOT_FINITE), "not finite"),
    "infinite cell": (posdata(cell=np.inf), "not finite"),
    "no positions": (message("GETFORCE"), "GETFORCE out of turn"),
    "twice": (posdata() + posdata(), "POSDATA out of turn"),
    "a long text": (message("INIT") + struct.pack("<ii", 0, 2**31 - 1), "text of 2147483647 bytes"),
    "a negative text": (message("INIT") + struct.pack("<ii", 0, -1), "text of -1 bytes"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_message_ends_the_session_with_one_line(kind: str) -> None:
    data, words = BAD[kind]
    with served(data) as client, pytest.raises(NumericalError, match=words) as raised:
        client.run(water())
    assert raised.value.exit_code == 4 and raised.value.message.isprintable()


@pytest.mark.parametrize("n", [-1, 0, 2, 4, 10**6, 2**31 - 1, -(2**31)])
def test_the_number_of_atoms_is_compared_before_memory_is_asked_for(n: int) -> None:
    tracemalloc.start()
    try:
        with served(posdata(n=n), keep_open=True) as client:
            with pytest.raises(MismatchError, match=f"sent {n} atoms, but the potential is for 3"):
                client.run(water())
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_silence_and_slowness_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipi_client, "MESSAGE_S", 0.5)
    for sent, pause_s, words in (
        ([message("STATUS")], 0.0, "was silent for 0.3 s"),
        ([posdata()[:100]], 0.0, "did not finish a message within 0.5 s"),
        ([bytes([byte]) for byte in posdata()], 0.05, "did not finish a message within 0.5 s"),
    ):
        begin = time.monotonic()
        with (
            served(*sent, keep_open=True, pause_s=pause_s) as client,
            pytest.raises(NumericalError, match=words),
        ):
            client.run(water())
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("energy", [np.nan, np.inf])
def test_energies_that_are_not_finite_are_not_sent(energy: float) -> None:
    with (
        served(posdata() + message("GETFORCE")) as client,
        pytest.raises(NumericalError, match="energy or a force is not finite"),
    ):
        client.run(water(energy=energy))


@pytest.mark.filterwarnings("ignore:.*the training data has")
def test_the_command_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from qmd.cli.app import app

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    for sent, code in ((posdata(n=7), 3), (posdata(NOT_FINITE), 4), (b"garbage!\n" * 9, 4)):

        def serve(sent: bytes = sent) -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(sent)
                while connection.recv(2**16):
                    pass

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(SystemExit) as end:
            app(["driver", "sivqlm-h2o", "--port", str(port)])
        server.join(10)
        said = capsys.readouterr()
        assert end.value.code == code and said.err.startswith("qmd: i-PI sent ")
        assert said.err.count("\n") == 2 and not said.out
    listener.close()


def test_a_periodic_server_gets_the_virial_of_the_cell_it_sent() -> None:
    # The cell of i-PI is column by column, the virial too; copper is tilted and rattled so that
    # an exchange of rows and columns, or of signs, shows.
    crystal = bulk("Cu").repeat(2)
    crystal.rattle(0.1, seed=1)
    crystal.set_cell(crystal.cell @ (np.eye(3) + [[0, 0.05, 0], [0, 0, 0.02], [0, 0, 0]]), True)
    listener = socket.create_server(("127.0.0.1", 0))
    served = Atoms("Cu8", pbc=True, calculator=EMT())

    def drive() -> None:
        with Client(port=listener.getsockname()[1]) as client:
            client.run(served)

    driver = threading.Thread(target=drive)
    driver.start()
    connection, _ = listener.accept()
    with connection, listener:
        protocol = IPIProtocol(connection)
        found = protocol.calculate(crystal.positions, crystal.cell)
        protocol.end()
    driver.join(10)
    crystal.calc = EMT()
    assert found["energy"] == pytest.approx(crystal.get_potential_energy(), rel=1e-12)
    virial = -crystal.get_volume() * crystal.get_stress(voigt=False)
    np.testing.assert_allclose(found["virial"], virial, atol=1e-10)


def test_a_calculator_without_stress_is_refused_for_a_periodic_server() -> None:
    crystal = Atoms("OHH", WATER, pbc=True, calculator=Springs())
    with served(posdata() + message("GETFORCE")) as client:
        with pytest.raises(MismatchError, match="stress"):
            client.run(crystal)
