"""The root of the test runs: `tests/` and `examples/` are collected from here.

There is nothing to set up. The plugin under test is loaded through its entry point, as users load
it, and `pytester` by `addopts`; what only our own tests need stands in `tests/conftest.py`.
"""
