"""The on-disk result of one analysis: written by the child process, opened read-only by the web application."""

from analysis.index.schema import FACTS, TABLES, Column, DataClass, Table
from analysis.index.store import Index, IndexWriter, TextColumn, open_index

__all__ = ["FACTS", "TABLES", "Column", "DataClass", "Index", "IndexWriter", "Table", "TextColumn", "open_index"]
