"""The one-machine platform: real git, real Triton, real Prometheus, started and stopped by two commands."""
