"""Networks and how they run. Nothing in here knows of cameras, ZeroMQ or the web."""
