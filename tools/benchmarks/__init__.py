"""Measurements: each prints figures and ratios taken in one run, and saves them as JSON when asked."""
