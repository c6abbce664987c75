"""How fast inferd is. Run from the repository's root: ``python -m benchmarks.latency``."""
