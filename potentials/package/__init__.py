"""Packages (.qmdp): JSON form, limits, domain, loading, external potentials."""
