"""Trainings on labels of many compositions: their data, and the fit to them."""
