# SPDX-License-Identifier: BSD-2-Clause
"""Sphinx, for ./dev docs. What it reads is written by tools/reference, into a directory of the build."""

import os
import re

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "..", "include", "tidemark", "tidemark.h"), encoding="utf-8") as header:
    release = ".".join(re.findall(r"#define TIDE_VERSION_\w+ (\d+)", header.read()))

project = "Tidemark"
copyright = "Tidemark developers, BSD-2-Clause"  # pylint: disable=redefined-builtin
version = release

extensions = ["myst_parser", "breathe"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 3
breathe_projects = {"tidemark": os.path.join(os.environ["TIDE_DOCS"], "doxygen", "xml")}
breathe_default_project = "tidemark"
breathe_domain_by_extension = {"h": "c"}
breathe_show_include = False
breathe_show_define_initializer = True
breathe_show_enumvalue_initializer = True
breathe_order_parameters_first = False

primary_domain = "c"
add_function_parentheses = False
smartquotes = False  # "..." of the headers is three dots
toc_object_entries = False
nitpicky = True
# Of the C library, of liburcu, and of QEMU.
nitpick_ignore_regex = [
    (r"c:.*", r"(u?int\d+_t|uintptr_t|size_t|bool|rcu_head|rcu_flavor_struct|TIDE_VFIO_REQUEST)"),
]

html_theme = "furo"
html_title = f"Tidemark {release}"
html_static_path = [os.path.join(here, "site")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
