"""The documentation site: `sphinx-build -W -b html docs build/docs`."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import tables  # docs/tables.py: what is generated from the code

project = "pytest-registry"
author = "The pytest-registry authors"
release = installed_version("pytest-registry")
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "pytest-registry"
exclude_patterns = ["ci"]
nitpicky = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
smartquotes = False  # it makes an en dash of an option's two hyphens

tables.write(Path(__file__).parent / "reference")
