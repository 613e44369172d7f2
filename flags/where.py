"""Language of --where: a condition on columns -> which images take part; parsed, never executed.

  abnormality == 'mass' and view == 'CC'
  'calcification' in abnormality and density in ('3', '4') and not side == 'left'

`'mass' in abnormality` asks for one of the values joined by "+"; `density in ('3', '4')` for one of
a list. Values are those of sources.csv, upper and lower case as there; '' is not stated.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping

from flags.fields import closest
from records import schema
from records.errors import CallerError

COLUMNS = schema.CLINICAL_KEYS
"""Columns of a condition: those that records and sources.csv share."""
EXAMPLE = "abnormality == 'mass' and view == 'CC'"
_LONGEST = 2000  # characters; nesting then stays far from Python's limits

Predicate = Callable[[Mapping[str, str]], bool]


@functools.cache
def parse(text: str) -> Predicate:
    """Reads a condition.

    Returns:
        function of an image's row of sources.csv; always true for an empty text.

    Raises:
        CallerError: one line saying what is wrong with it and what would do.
    """
    return _compile(_tree(text), text) if text else lambda image: True


def columns(text: str) -> tuple[str, ...]:
    """Lists the columns that a condition names, in order, each once."""
    names = (node.id for node in ast.walk(_tree(text)) if isinstance(node, ast.Name))
    return tuple(dict.fromkeys(names))


def _tree(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise CallerError(f"--where has {len(text)} characters, at most {_LONGEST} are read")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        raise _refusal(text, f"can't be read ({problem})") from error


def _compile(node: ast.expr, text: str) -> Predicate:
    if isinstance(node, ast.BoolOp):
        parts = [_compile(value, text) for value in node.values]
        join = all if isinstance(node.op, ast.And) else any
        return lambda image: join(part(image) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        part = _compile(node.operand, text)
        return lambda image: not part(image)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compare(node.left, node.ops[0], node.comparators[0], text)
    raise _refusal(text, f"{ast.unparse(node)!r} is no comparison of a column with a value")


def _compare(left: ast.expr, operator: ast.cmpop, right: ast.expr, text: str) -> Predicate:
    """Compiles one comparison; != and `not in` are the opposites of == and `in`."""
    if isinstance(operator, (ast.NotEq, ast.NotIn)):
        same = _compare(
            left, ast.Eq() if isinstance(operator, ast.NotEq) else ast.In(), right, text
        )
        return lambda image: not same(image)
    if isinstance(operator, ast.In):
        if isinstance(right, ast.Name):
            member, column = _value(left, text), _column(right, text)
            return lambda image: member in image[column].split("+")
        column = _column(left, text)
        if not isinstance(right, (ast.Tuple, ast.List, ast.Set)) or not right.elts:
            raise _refusal(text, f"after 'in' stands {ast.unparse(right)!r}, no list of values")
        wanted = {_value(element, text) for element in right.elts}
        return lambda image: image[column] in wanted
    if isinstance(operator, ast.Eq):
        if isinstance(left, ast.Constant):
            left, right = right, left
        column, value = _column(left, text), _value(right, text)
        return lambda image: image[column] == value
    raise _refusal(text, "only ==, != and in can compare")


def _column(node: ast.expr, text: str) -> str:
    if not isinstance(node, ast.Name):
        raise _refusal(text, f"{ast.unparse(node)!r} stands where a column should")
    if node.id not in COLUMNS:
        hint = closest(node.id, COLUMNS) or ";"
        raise CallerError(
            f"--where={text}: {node.id!r} is no column{hint} columns are {', '.join(COLUMNS)}"
        )
    return node.id


def _value(node: ast.expr, text: str) -> str:
    """Reads a text, or a whole number as the text it is in the tables."""
    if isinstance(node, ast.Constant) and type(node.value) in (str, int):
        return str(node.value)
    hint = f"; put it in quotes: '{node.id}'" if isinstance(node, ast.Name) else ""
    raise _refusal(text, f"{ast.unparse(node)!r} stands where a value should{hint}")


def _refusal(text: str, why: str) -> CallerError:
    one_line = " ".join(text.split())
    return CallerError(f"--where={one_line}: {why}; write it like {EXAMPLE!r}")
