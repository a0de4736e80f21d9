"""The force of a step: its compiled contract, and forces that Python computes."""
