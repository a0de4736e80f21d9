"""The commented input that `qmd init` writes."""

TEMPLATE = """\
# yaml-language-server: $schema=./qmd.schema.json
# (Editors complete and check this file once `qmd schema > qmd.schema.json` has run here.)
#
# Run, or continue, with `qmd run input.yaml`; results go to output/ beside this file.
# Units stand in the key names. Unknown keys are errors. Keys with a default may be left out.

system:
  structure: h2o              # built-in (h2o, lih, h2o-dimer) or a file, relative to this one
  velocities: thermal         # thermal | file (those of the structure file) | zero
  temperature_K: 300          # of the thermal start
  exact_temperature: false    # true: rescale the start to exactly temperature_K
  remove_rotation: false      # true: start without overall rotation

potential: sivqlm-h2o         # a name (`qmd potential list`) or the path of a .qmdp file; or
# potential:
#   kind: package
#   name: sivqlm-h2o
#   backend: native           # native (compiled kernel) | jax
#   sha256: null              # 64 hex digits: refuse any other version of the package

integrator:
  kind: langevin_baoab        # or velocity_verlet (constant energy), which has timestep_fs only
  timestep_fs: 0.5
  temperature_K: 300
  friction_per_ps: 1.0        # coupling to the bath, not a property of the molecule

# confinement:                # a sphere about the origin that keeps molecules together
#   radius_A: 6.0
#   stiffness_eV_per_A3: 1.0  # its energy: stiffness x (distance beyond the radius)^3

# noise:                      # forces as a quantum computer would give them; slower
#   shots: 200000             # of every circuit; too few for the bath are refused
#   compensate: true          # the bath gives less by what the noise gives

steps: 200000                 # total: running again continues to it
seed: 1                       # of the start velocities, of the bath and of the shots
replica: 0                    # which stream of the seed; with replicas that of the first
replicas: 1                   # copies to run together, each with a stream of its own
# threads: 2                  # that share the replicas; default: the cores it may use
# wall_time_h: 23.5           # stop in good time before this many hours, resumable (or 23:30:00)

output:                       # numbers of steps
  trajectory_every: 100
  log_every: 100
  checkpoint_every: 10000
  trajectories: together      # together | separate, of replicas

guards:                       # the run stops itself (exit code 4) beyond these
  max_force_eV_per_A: 50
  max_displacement_A_per_step: 0.1
  on_leaving_domain: stop     # stop | warn, beyond the trained domain of the potential
  on_failure: stop            # stop | drop, of replicas: end the run, or this replica
"""
