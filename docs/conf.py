"""How the pages become a site: `make docs`. Pages are MyST Markdown, the rest is docstrings."""

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

from endoexit import __version__

HERE = Path(__file__).parent
COMMANDS = HERE / "reference" / "commands.md"  # made here, not committed

project = "endoexit"
author = "endoexit contributors"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # docstrings write `name`
# A type "numpy.str_" ends like a link in reStructuredText; give it the target that it asks for.
rst_epilog = ".. _numpy.str: https://numpy.org/doc/stable/reference/arrays.scalars.html"

autosummary_generate = True
autodoc_typehints = "description"  # types stand in annotations only
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = f"endoexit {version}"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
}
html_copy_source = False
html_show_sourcelink = False


def write_commands(_: Sphinx) -> None:
    """Write the page of all commands and options from the command line itself."""
    line = [sys.executable, "-m", "typer", "endoexit.cli.main", "utils", "docs"]
    line += ["--name", "endoexit", "--title", "Commands"]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    COMMANDS.write_text(done.stdout, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register what happens before pages are read."""
    app.connect("builder-inited", write_commands)
