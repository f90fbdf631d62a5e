"""Estimates about a face that are no identity. Off unless a purpose is stated; never an input to matching."""
