"""Quantities of liquids and solids: `pairs`, and what rests on them, cell and motion in it."""
