"""Tests of the engine."""

import pytest

# The assertions of this module then show what was unequal, as those of test modules do.
pytest.register_assert_rewrite("tests.analysis.comparison")
