"""Covariance of forces that are measured with a finite number of shots."""
