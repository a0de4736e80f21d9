"""Models that can be trained: the sections `model` of an input, and their initial parameters."""
