"""From what the engine read to the tables and facts of the index (``analysis.index.schema``)."""
