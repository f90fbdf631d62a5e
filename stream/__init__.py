"""Frames in motion: capture, inference, overlay, and what links them."""
