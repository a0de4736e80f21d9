"""Networks of any number of atoms in any cell, on a neighbour list, `LANES` centres at a time.

A group of centres has its neighbours within the cut-off picked out, the moments of these summed
(`moments`), and their channels made from the moments. Then a function of the family, such as
`kernel.circuits`, turns the channels into energies and into derivatives by the channels, on the
way back of which lie the pulls of the neighbours. Only these meet: they are kept for each entry of
the list, and added to the forces in the order of the list. So the bits of a sum depend on the
positions only, not on the history of the list, and not on who computes which centres.

The function of the family sees a network of one group: a program of its own, of the layout of
`kernel`, and channels of its own in the workspace. A slot is that and the moments; two slots
can be at work at once.
"""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

import math

from qmd.integrators import FORCE_SIGNATURE, call, neighbours

from ..compilation import inner, when_needed
from ..contract import clear, fill
from ..parts import CENTRES, call_centres
from ..simd.gaussians import FROM_THE_FIRST
from .kernel import CHANNELS, KINDS, SLOPES, channel_size
from .kernel import ENERGIES as OF_FOURS
from .kernel import N_ATOMS as CENTRES_HERE
from .lanes import FOUR, LANES
from .moments import (
    OF_RANK,
    add_tensors,
    add_vectors,
    combine_five,
    combine_one,
    combine_three,
    pull_of_tensors,
    pull_of_vectors,
)

# fmt: off
(N_ATOMS, LIST, ROOM, N_KINDS, N_RADIAL, PADDED, VECTORS, SCALARS, TENSORS, RANK, FAMILY,
 ATOMS, SLOTS, SLOT_WORDS, SLOT_NUMBERS, MOMENTS, BEGINS, COEFFICIENTS, TRANSPOSED,
 START, RADIAL, STEPS, ENERGIES, VIRIALS, DENSE, DENSE_PROGRAM, DENSE_END, DENSE_NUMBERS,
 DENSE_NUMBERS_END, HEAD) = range(30)
# fmt: on
"""Places in the program. `ATOMS` are the kinds of all atoms; `SLOTS` the programs of the slots, of
`SLOT_WORDS` each, in which `BEGINS` are the first neighbours of the centres; `MOMENTS` is the
place of the moments of the first slot. `DENSE` is the address of the kernel of small isolated
molecules, or 0, with its program and workspace."""
# fmt: off
(FUNCTION, GROUP, VIRIAL, CAP_PULLS, NEED_PULLS, PULLS, CAP_KEPT, NEED_KEPT, KEPT, TEAM,
 ROOM_WORDS) = range(11)
# fmt: on
"""Words of the head of a `Room`: the functions of all and of a group of centres, whether the virial
is asked for, what there is room for (pulls of list entries, and neighbours of a group), and the
threads that share the work."""
VIRIAL_STEP = 16
"""Numbers from the virial of four centres to the next: no two threads write one line of a cache."""
EXTRA = 8
"""Numbers of a neighbour beside its Gaussians and their slopes: r^, r, its place in the list."""


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of a network; writes the forces (eV/angstrom) and, if asked for, the virial."""
    if program[DENSE] != 0 and _is_isolated(cell):
        return call(
            program[DENSE],
            positions,
            cell,
            forces,
            virial,
            program[program[DENSE_PROGRAM] : program[DENSE_END]],
            workspace[program[DENSE_NUMBERS] : program[DENSE_NUMBERS_END]],
        )
    room = neighbours.integers(program[ROOM], ROOM_WORDS)
    if room[FUNCTION] == 0:
        room[NEED_KEPT] = max(room[NEED_KEPT], 1)
        fill(forces, math.nan)
        return math.nan
    return call(room[FUNCTION], positions, cell, forces, virial, program, workspace)


@inner
def _is_isolated(cell):
    for d in range(3):
        if neighbours.is_periodic(cell, d):
            return False
    return True


@when_needed(FORCE_SIGNATURE)
def on_lists(positions, cell, forces, virial, program, workspace):
    """Do the work of `energy_and_forces` on the neighbour list, for any cell."""
    near = neighbours.opened(program[LIST])
    if not ready(near, positions, cell, forces, virial, program):
        fill(forces, math.nan)
        return math.nan
    room = neighbours.integers(program[ROOM], ROOM_WORDS)
    for first in range(0, program[N_ATOMS], LANES):
        call_centres(room[GROUP], workspace, first, 0, program)
    return collect(near, forces, virial, program, workspace)


@inner
def ready(near, positions, cell, forces, virial, program):
    """Set the forces to 0 and bring the list up to date; False if the call has no answer."""
    return (
        clear(positions, forces, program)
        and neighbours.update(near, positions, cell)
        and _has_room(near, virial, program)
    )


@inner
def _has_room(near, virial, program):
    """Note what is asked for and what is needed; return False if there is no room for it."""
    room, n = neighbours.integers(program[ROOM], ROOM_WORDS), program[N_ATOMS]
    room[VIRIAL] = virial.shape[0]
    most = 0
    for first in range(0, n, LANES):
        last = min(first + LANES, n)
        most = max(most, near.starts[last] - near.starts[first])
    room[NEED_PULLS] = max(room[NEED_PULLS], near.starts[n])
    room[NEED_KEPT] = max(room[NEED_KEPT], most)
    return room[NEED_PULLS] <= room[CAP_PULLS] and room[NEED_KEPT] <= room[CAP_KEPT]


@inner
def collect(near, forces, virial, program, w):
    """Add up energies, pulls and virials of all centres, in their order; return the energy."""
    room, energy, n = neighbours.integers(program[ROOM], ROOM_WORDS), 0.0, program[N_ATOMS]
    pulls = neighbours.floats(room[PULLS], 3 * room[CAP_PULLS])
    for i in range(n):
        x = y = z = 0.0
        for entry in range(near.starts[i], near.starts[i + 1]):
            j = near.entries[entry] & neighbours.SECOND
            px, py, pz = pulls[3 * entry], pulls[3 * entry + 1], pulls[3 * entry + 2]
            x += px
            y += py
            z += pz
            forces[j, 0] -= px
            forces[j, 1] -= py
            forces[j, 2] -= pz
        forces[i, 0] += x
        forces[i, 1] += y
        forces[i, 2] += z
    fill(virial, 0.0)
    for four in range((n + FOUR - 1) // FOUR):
        energy += w[program[ENERGIES] + four]
        for a in range(virial.shape[0]):
            for b in range(3):
                virial[a, b] -= w[program[VIRIALS] + VIRIAL_STEP * four + 3 * a + b]
    return energy


@when_needed(CENTRES)
def group(w, first, slot, program):
    """Write energies and virials of up to `LANES` centres, and the pulls of their neighbours."""
    near, room = neighbours.opened(program[LIST]), neighbours.integers(program[ROOM], ROOM_WORDS)
    start = program[SLOTS] + slot * program[SLOT_WORDS]
    own = program[start : start + program[SLOT_WORDS]]
    count = min(LANES, program[N_ATOMS] - first)
    own[CENTRES_HERE] = count
    size = room[CAP_KEPT] * record_size(program)
    kept = neighbours.floats(room[KEPT] + 8 * slot * size, size)
    pulls, at = neighbours.floats(room[PULLS], 3 * room[CAP_PULLS]), 0
    for lane in range(count):
        own[own[KINDS] + lane] = program[program[ATOMS] + first + lane]
        own[program[BEGINS] + lane] = at
        at = _pick(near, first + lane, at, kept, pulls, program, w)
        _moments(at, lane, slot, kept, own, program, w)
        _channels(lane, slot, own, program, w)
    own[program[BEGINS] + count] = at
    call_centres(program[FAMILY], w, 0, 0, own)
    for four in range((count + FOUR - 1) // FOUR):
        to = first // FOUR + four
        w[program[ENERGIES] + to] = w[own[OF_FOURS] + four]
        for a in range(9):
            w[program[VIRIALS] + VIRIAL_STEP * to + a] = 0.0
    for lane in range(count):
        _slopes(lane, slot, own, program, w)
        _pull(first, lane, slot, kept, pulls, own, program, w)
    return 0.0


@inner
def record_size(program):
    """Return the numbers of a neighbour: its Gaussians, their slopes, and what else is kept."""
    return 2 * program[PADDED] + EXTRA


@inner
def _pick(near, i, at, kept, pulls, program, w):
    """Keep the neighbours of centre i within the cut-off, from place `at` on; return the end."""
    size, cutoff = record_size(program), w[program[RADIAL] + 2]
    for entry in range(near.starts[i], near.starts[i + 1]):
        _, x, y, z = neighbours.vector(near, i, entry)
        square = x * x + y * y + z * z
        pulls[3 * entry] = pulls[3 * entry + 1] = pulls[3 * entry + 2] = 0.0
        if square >= cutoff * cutoff:
            continue
        r = math.sqrt(square)
        record = at * size
        _gaussians(kept, record, r, program, w)
        unit = record + 2 * program[PADDED]
        kept[unit], kept[unit + 1], kept[unit + 2] = x / r, y / r, z / r
        kept[unit + 3], kept[unit + 4] = r, entry
        at += 1
    return at


@inner
def _gaussians(kept, record, r, program, w):
    """Gaussians times the envelope at `record`, then their slopes, both filled up with zeros."""
    at, n, padded = program[RADIAL], program[N_RADIAL], program[PADDED]
    low, spacing, cutoff = w[at], w[at + 1], w[at + 2]
    t = r / cutoff
    t5 = t * t * t * t * t
    envelope = 1.0 - t5 * t * (28.0 - t * (48.0 - 21.0 * t))
    slope = -168.0 * t5 * (1.0 - t) * (1.0 - t) / cutoff
    u, inverse = (r - low) / spacing, 1.0 / spacing
    up, value = math.exp(min(u, FROM_THE_FIRST)), math.exp(-0.5 * u * u)
    for g in range(n):
        if u > FROM_THE_FIRST:  # the first one would be too small to start from
            value = math.exp(-0.5 * (u - g) * (u - g))
        kept[record + g] = value * envelope
        kept[record + padded + g] = value * (slope - envelope * (u - g) * inverse)
        value *= up * w[program[STEPS] + g]
    for g in range(n, padded):
        kept[record + g] = 0.0
        kept[record + padded + g] = 0.0


@inner
def _moments_at(slot, kind, program):
    """Return the place of the moments of an element in a slot."""
    size = OF_RANK[program[RANK]] * program[PADDED]
    return program[MOMENTS] + slot * program[SLOT_NUMBERS] + kind * size


@inner
def _moments(end, lane, slot, kept, own, program, w):
    """Sum the moments of the neighbours of a lane, those up to `end`."""
    padded, size = program[PADDED], record_size(program)
    moments = _moments_at(slot, 0, program)
    for m in range(program[N_KINDS] * OF_RANK[program[RANK]] * padded):
        w[moments + m] = 0.0
    near = neighbours.opened(program[LIST])
    for at in range(own[program[BEGINS] + lane], end):
        record = at * size
        unit = record + 2 * padded
        x, y, z, entry = kept[unit], kept[unit + 1], kept[unit + 2], int(kept[unit + 4])
        j = near.entries[entry] & neighbours.SECOND
        to = _moments_at(slot, program[program[ATOMS] + j], program)
        if program[TENSORS] != 0:
            add_tensors(w, to, padded, kept, record, x, y, z)
        else:
            add_vectors(w, to, padded, kept, record, x, y, z)


@inner
def _coefficients(kind, other, rows, program):
    """Return the place, from 0, of radial coefficients in `rows` for each function."""
    size = program[VECTORS] + program[SCALARS] + program[TENSORS]
    return (kind * program[N_KINDS] + other) * rows * size


@inner
def _channels(lane, slot, own, program, w):
    """Channels of a lane, from the constants of its element and from the moments."""
    vectors, scalars, tensors = program[VECTORS], program[SCALARS], program[TENSORS]
    at, kind = own[CHANNELS] + lane * channel_size(own), own[own[KINDS] + lane]
    for channel in range(channel_size(own)):
        w[at + channel] = 0.0
    for channel in range(scalars):
        w[at + 3 * vectors + channel] = w[program[START] + kind * scalars + channel]
    size, n, padded = vectors + scalars + tensors, program[N_RADIAL], program[PADDED]
    for other in range(program[N_KINDS]):
        m = _moments_at(slot, other, program)
        row = program[COEFFICIENTS] + _coefficients(kind, other, n, program)
        combine_three(w, at, vectors, m + padded, padded, row, size, n, vectors)
        combine_one(w, at + 3 * vectors, 0, m, 0, row + vectors, size, n, scalars)
        if tensors != 0:
            to, row = at + 3 * vectors + scalars, row + vectors + scalars
            combine_five(w, to, tensors, m + 4 * padded, padded, row, size, n, tensors)


@inner
def _slopes(lane, slot, own, program, w):
    """Derivatives by the moments of a lane, in their places, from those by its channels."""
    vectors, scalars, tensors = program[VECTORS], program[SCALARS], program[TENSORS]
    at, kind, padded = (
        own[SLOPES] + lane * channel_size(own),
        own[own[KINDS] + lane],
        program[PADDED],
    )
    moments = _moments_at(slot, 0, program)
    for m in range(program[N_KINDS] * OF_RANK[program[RANK]] * padded):
        w[moments + m] = 0.0
    for other in range(program[N_KINDS]):
        m = _moments_at(slot, other, program)
        row = program[TRANSPOSED] + _coefficients(kind, other, padded, program)
        combine_three(w, m + padded, padded, at, vectors, row, padded, vectors, padded)
        slopes, row = at + 3 * vectors, row + vectors * padded
        combine_one(w, m, 0, slopes, 0, row, padded, scalars, padded)
        if tensors != 0:
            slopes, row = slopes + scalars, row + scalars * padded
            combine_five(w, m + 4 * padded, padded, slopes, tensors, row, padded, tensors, padded)


@inner
def _pull(first, lane, slot, kept, pulls, own, program, w):
    """Write the pulls of the neighbours of a lane, by the chain rule; add its virial."""
    near, room = neighbours.opened(program[LIST]), neighbours.integers(program[ROOM], ROOM_WORDS)
    padded, size = program[PADDED], record_size(program)
    virial = program[VIRIALS] + VIRIAL_STEP * ((first + lane) // FOUR)
    for at in range(own[program[BEGINS] + lane], own[program[BEGINS] + lane + 1]):
        record = at * size
        unit = record + 2 * padded
        x, y, z, r = kept[unit], kept[unit + 1], kept[unit + 2], kept[unit + 3]
        entry = int(kept[unit + 4])
        j = near.entries[entry] & neighbours.SECOND
        m = _moments_at(slot, program[program[ATOMS] + j], program)
        if program[TENSORS] != 0:
            along, ax, ay, az = pull_of_tensors(w, m, padded, kept, record, x, y, z)
        else:
            along, ax, ay, az = pull_of_vectors(w, m, padded, kept, record, x, y, z)
        ax, ay, az = ax / r, ay / r, az / r
        along -= ax * x + ay * y + az * z
        px, py, pz = ax + along * x, ay + along * y, az + along * z
        pulls[3 * entry], pulls[3 * entry + 1], pulls[3 * entry + 2] = px, py, pz
        if room[VIRIAL] != 0:
            for a in range(3):
                d = r * kept[unit + a]
                w[virial + 3 * a] += d * px
                w[virial + 3 * a + 1] += d * py
                w[virial + 3 * a + 2] += d * pz
