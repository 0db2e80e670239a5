"""What refers to what, and what keeps it alive: references, roots, paths, dominators, retained sizes."""
