#!/usr/bin/env bash
#
# ASE 3.29.0, ase.calculators.socketio.SocketClient against a server of the i-PI protocol.
#
# Expected: a client whose calculator has a stress answers GETFORCE with the virial.
# Happens:  run(atoms) answers a virial of nine zeros unless use_stress=True is
#           given. The protocol has no way to say "unknown", so a server at
#           constant pressure takes it for a system without internal forces and
#           lets the box shrink or grow. irun(atoms) sends the true one.
# Seen:
#   true virial / 3            7.2861 eV
#   run(atoms)                 0.0000 eV
#   run(atoms, use_stress=True) 7.2861 eV
#   irun(atoms)                7.2861 eV
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python - <<'PY'
import socket
import struct
import threading

import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.socketio import SocketClient


def squeezed_copper():
    atoms = bulk("Cu", a=3.4, cubic=True)
    atoms.calc = EMT()
    return atoms


def receive(link, count):
    data = b""
    while len(data) < count:
        piece = link.recv(count - len(data))
        assert piece, "the client hung up"
        data += piece
    return data


def third_of_virial(start):
    """Serve one client one geometry; a third of the trace it answers, in eV."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    client = threading.Thread(target=start, args=(port, squeezed_copper()), daemon=True)
    client.start()
    link, _ = listener.accept()
    link.settimeout(60)

    def say(word):
        link.sendall(word.ljust(12).encode())

    atoms = squeezed_copper()
    say("STATUS")
    assert receive(link, 12).strip() == b"READY"
    say("POSDATA")
    cell = atoms.cell.array / units.Bohr
    link.sendall(cell.T.tobytes() + np.linalg.inv(cell).T.tobytes())
    link.sendall(struct.pack("i", len(atoms)) + (atoms.positions / units.Bohr).tobytes())
    say("STATUS")
    assert receive(link, 12).strip() == b"HAVEDATA"
    say("GETFORCE")
    assert receive(link, 12).strip() == b"FORCEREADY"
    receive(link, 8)
    count, = struct.unpack("i", receive(link, 4))
    receive(link, 24 * count)
    virial = np.frombuffer(receive(link, 72)).reshape(3, 3) * units.Ha
    length, = struct.unpack("i", receive(link, 4))
    if length:
        receive(link, length)
    say("EXIT")
    client.join(20)
    return np.trace(virial) / 3


def by_run(port, atoms):
    SocketClient(host="127.0.0.1", port=port).run(atoms)


def by_run_with_stress(port, atoms):
    SocketClient(host="127.0.0.1", port=port).run(atoms, use_stress=True)


def by_irun(port, atoms):
    for _ in SocketClient(host="127.0.0.1", port=port).irun(atoms):
        pass


atoms = squeezed_copper()
true = -atoms.get_stress()[:3].mean() * atoms.get_volume()
plain, asked, iterated = map(third_of_virial, (by_run, by_run_with_stress, by_irun))
print(f"true virial / 3            {true:.4f} eV")
print(f"run(atoms)                 {plain:.4f} eV")
print(f"run(atoms, use_stress=True) {asked:.4f} eV")
print(f"irun(atoms)                {iterated:.4f} eV")
assert plain == 0.0, "CHANGED: run() sends a virial by default"
assert abs(asked - true) < 1e-6 and abs(iterated - true) < 1e-6, "CHANGED: a control is wrong"
print("as found")
PY
