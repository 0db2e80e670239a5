"""The engine: reads .NET process dumps in pure Python, numpy and numba. Imports neither Django nor ``explorer``."""
