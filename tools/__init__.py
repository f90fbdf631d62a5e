"""One command a file: the `unvizard` command, training, evaluation, benchmarks, the demo and its RTSP server."""
