"""How Sphinx makes a site of these pages: `make docs`. Nothing here asks the network."""

import re
from importlib.metadata import version as version_of
from pathlib import Path

project = "Gofer"
author = "The Gofer maintainers"
copyright = author  # noqa: A001  # Sphinx calls it so
release = version = version_of("gofer")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]  # other fences would look like examples that nobody runs
myst_heading_anchors = 3
exclude_patterns = ["README.md"]  # the same list for those who read the repository

html_theme = "furo"
html_title = "Gofer"
html_show_sourcelink = html_copy_source = False

autodoc_member_order = "bysource"
napoleon_use_ivar = True  # else an attribute would stand twice: in a list, and at its property
napoleon_custom_sections = [
    ("Policies", "params_style"),
    "Cancellation",
    "Thread safety",
    "Source",
]

LINK = re.compile(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)")


def offer_files(app, docname, source):
    """Make links to pages that are not of this site, such as README.md, links to the files."""
    folder = (Path(app.srcdir) / docname).parent

    def change(link):
        inside = (folder / link[1]).resolve().is_relative_to(app.srcdir)
        return link[0] if inside else f"](path:{link[1]})"

    source[0] = LINK.sub(change, source[0])


def setup(app):
    """Hook in."""
    app.connect("source-read", offer_files)
