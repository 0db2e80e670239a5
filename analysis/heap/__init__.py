"""The managed heap as columns: ranges, the walk, instances, gaps."""
