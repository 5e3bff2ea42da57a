"""Which line of the project sent a query: not Django's, not a library's.

The nearest frame of the project is the one that fetched the rows, or followed a relation: where a queryset is evaluated
in a template, that is the line of the view that renders it. Nothing but frames is looked at, and what a file is gets
decided once, so that a query costs a few microseconds.
"""

from __future__ import annotations

import enum
import os
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any

import django

_FOREIGN_FOLDERS = tuple(
    os.path.join(folder, "")
    for folder in {
        os.path.dirname(__file__),
        os.path.dirname(django.__file__),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
_LIBRARY_FOLDERS = {"site-packages", "dist-packages"}
# Outside of these are middlewares and servers, which are never where a view's query comes from.
_BORDERS = (
    os.path.join(os.path.dirname(django.__file__), "core", "handlers", ""),
    os.path.join(os.path.dirname(__file__), "middleware.py"),
)


class _Place(enum.Enum):
    LIBRARY = "Django's code, a library's, this package's"
    BORDER = "Django's handler or our middleware: a request's own code ends here"


# Looked up for each frame of each query: a name of the module is found quicker than an enum's.
_LIBRARY = _Place.LIBRARY
_places: dict[str, str | _Place] = {}


def of_stack() -> str | None:
    """``shop/views.py:26``: the nearest line of the project in the stack of this thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        place = _places.get(frame.f_code.co_filename) or _place_of(frame)
        # Nearly all frames are Django's own.
        if place is not _LIBRARY:
            return f"{place}:{frame.f_lineno}" if isinstance(place, str) else None
        frame = frame.f_back
    return None


def of_coroutine(coroutine: Any) -> str | None:
    """The nearest line of the project in a chain of coroutines that wait for each other, from the outermost on.

    Django runs the queries of an async view in a thread, whose stack knows nothing of the view.
    """
    found = None
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        place = _places.get(frame.f_code.co_filename) or _place_of(frame)
        if place is not _LIBRARY:
            found = f"{place}:{frame.f_lineno}" if isinstance(place, str) else None
        coroutine = coroutine.cr_await
    return found


def _place_of(frame: FrameType) -> str | _Place:
    code = frame.f_code
    place = _judge(code, str(frame.f_globals.get("__name__", "")))
    # Code without a file, as shells compile it, has any number of names.
    if not code.co_filename.startswith("<"):
        _places[code.co_filename] = place
    return place


def _judge(code: CodeType, module: str) -> str | _Place:
    file = os.path.abspath(code.co_filename)
    if file.startswith(_BORDERS):
        return _Place.BORDER
    parts = file.split(os.sep)
    if code.co_filename.startswith("<") or file.startswith(_FOREIGN_FOLDERS) or not _LIBRARY_FOLDERS.isdisjoint(parts):
        return _Place.LIBRARY
    # As the module is imported, whatever folder the project lies in: shop.views is shop/views.py.
    depth = module.count(".") + 1 + (parts[-1] == "__init__.py")
    return "/".join(parts[-depth:])
