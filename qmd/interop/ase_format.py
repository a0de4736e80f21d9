"""Trajectories of qmd as a file format of ASE, by its entry-point group `ase.ioformats`.

Where both are installed, ``ase.io.read("output/trajectory.nc", ":")`` works. ASE imports this
module with `ase.io`: it imports nothing else.
"""

from ase.utils.plugins import ExternalIOFormat

trajectory = ExternalIOFormat(
    desc="Trajectory of qmd (AMBER NetCDF)",
    code="+S",
    module="qmd.interop.ase_trajectory",
    glob=["trajectory.nc", "trajectory-[0-9]*.nc"],
)
