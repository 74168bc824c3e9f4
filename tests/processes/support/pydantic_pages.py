"""A model, in a module of its own: Pydantic may be missing."""

from __future__ import annotations

import pydantic


class Model(pydantic.BaseModel):
    """A param."""

    total: int = 1
    rows: list[int] = [1]
