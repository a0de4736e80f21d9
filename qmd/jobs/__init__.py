"""What every long command shares: stopping, locks, cores, executors, provenance."""
