"""From a camera to frames in the ring: one file for each kind of source."""
