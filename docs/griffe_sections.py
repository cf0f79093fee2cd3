"""Lets the documentation show ``Example:`` as code and ``Source:`` as what it is: a griffe extension."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Sections(griffe.Extension):
    """``Example:`` is griffe's ``Examples:`` section; without this its doctest would be read as Markdown."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rename the section in every docstring."""
        if obj.docstring is not None:
            value = re.sub(r"(?m)^(\s*)Example:$", r"\1Examples:", obj.docstring.value)
            obj.docstring.value = re.sub(r"(?m)^(\s*)Reference:", r"\1Source:", value)
