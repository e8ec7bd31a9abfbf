"""Which lines of some modules have been reached, by the interpreter's own tracing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

Line = tuple[str, int]


class Coverage:
    """The lines of these modules' functions, and those seen so far."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._files = {str(module.__file__) for module in modules}
        self.lines = frozenset(line for file in self._files for line in _lines(Path(file)))
        self.reached: set[Line] = set()

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Notes every line that this thread runs meanwhile."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def missed(self) -> list[str]:
        """The lines that were not, as `module.py:12`."""
        return [f"{Path(file).name}:{line}" for file, line in sorted(self.lines - self.reached)]

    def _enter(self, frame: FrameType, event: str, _: Any) -> Callable[[FrameType, str, Any], Any] | None:
        if frame.f_code.co_filename not in self._files:
            return None
        self.reached.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    def _line(self, frame: FrameType, event: str, _: Any) -> Callable[[FrameType, str, Any], Any]:
        self.reached.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def _lines(file: Path) -> Iterator[Line]:
    """Of functions alone: the rest was run when the module was imported."""
    for code in _functions(compile(file.read_text(), str(file), "exec")):
        yield from ((str(file), line) for _, _, line in code.co_lines() if line)


def _functions(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & 0x2:  # CO_NEWLOCALS: a function's, not a class's (Include/cpython/code.h)
                yield constant
            yield from _functions(constant)
