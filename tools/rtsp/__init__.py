"""A small RTSP server on this machine, for the demo and for tests that need faulty cameras."""
