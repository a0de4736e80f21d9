"""Services that every long command uses: stopping, locks, cores, executors, provenance."""
