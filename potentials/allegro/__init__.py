"""Allegro: strictly local equivariant networks, with classical or quantum read-outs."""
