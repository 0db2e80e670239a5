"""Compiled loops over objects. Typed arrays in, caller-made typed arrays out; no exceptions, no project imports."""
