"""One module per part of CoreCLR: types, metadata, modules, threads, the garbage collector's heaps."""
