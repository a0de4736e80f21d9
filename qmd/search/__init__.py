"""Search for the best points of expensive functions: several objectives, with constraints.

====================  ======================================================================
`space`               parameters of a point, and their coordinates in [-1, 1]
`hypervolume`         Pareto fronts, hypervolumes and the gain of a point
`surrogate`           radial interpolants, and the choice of one by its earlier errors
`infill`              the next point: multi-start COBYLA on the predicted gain
`samo_cobra`          the search that joins them, SAMO-COBRA
`samplers`            NSGA-II and TPE of optuna, with the same interface
====================  ======================================================================
"""
