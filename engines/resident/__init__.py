"""The way from a frame to an embedding without leaving the GPU, for frames that are there already.

Only a few numbers travel: boxes and landmarks to the host, crops' transforms to the device, embeddings to the
host. Everything here is torch tensors on one device, which may be the processor: so it is tested.
"""
