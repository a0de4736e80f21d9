#!/usr/bin/env bash
#
# PennyLane 0.45.1 with pyzx 0.10.7: to_zx and from_zx.
#
# Expected: a circuit that goes through ZX form unsimplified comes back the same.
# Happens:  rotations about z come back as phase gates: a global phase is dropped
#           (RZ(pi/4) returns as T, from_zx gives [1, e^(i pi/4)] on its diagonal). Harmless
#           for expectation values, not for a block that is then controlled
#           (Hadamard tests, overlaps): the controlled circuits differ.
# Seen:
#   in: [RZ(0.7853981633974483, wires=[0])]  out: [T(0)]
#   equal up to a phase: 1.000000; Hadamard test, the real part of <0|U|0>: 0.9239 before, 1.0000 after
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pennylane==0.45.1 pyzx==0.10.7 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
import pennylane as qml

block = qml.tape.QuantumScript([qml.RZ(np.pi / 4, wires=0)])
again = qml.transforms.from_zx(qml.transforms.to_zx(block))
print("in:", block.operations, " out:", again.operations)

plain = [qml.matrix(tape, wire_order=[0]) for tape in (block, again)]
overlap = abs(np.trace(plain[0].conj().T @ plain[1])) / 2


def hadamard_test(operations):
    @qml.qnode(qml.device("default.qubit"))
    def circuit():
        qml.Hadamard("control")
        for operation in operations:
            qml.ctrl(operation, "control")
        qml.Hadamard("control")
        return qml.expval(qml.Z("control"))
    return float(circuit())


before, after = hadamard_test(block.operations), hadamard_test(again.operations)
print(f"equal up to a phase: {overlap:.6f}; Hadamard test, the real part of <0|U|0>: {before:.4f} before, {after:.4f} after")
assert abs(overlap - 1) < 1e-9, "CHANGED: not equal up to a phase"
assert abs(before - np.cos(np.pi / 8)) < 1e-9, "CHANGED: the control"
assert abs(after - before) > 0.05, "CHANGED: the phase is kept"
print("as found")
PY
