"""The Triton model repository: immutable versions, their store, and the server that loads them."""
