"""The Feynman rules as text, the way one writes them on a blackboard."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from fractions import Fraction

from nnqft.rules.action import Action
from nnqft.rules.parts import Leg, Vertex
from nnqft.show.numbers import GREEK, superscript


def print_action(action: Action, interactions: Sequence[Vertex], heading: str, remarks: Sequence[str]) -> str:
    """Fields, propagators and vertices, one a line, then the vertices with the bilocal lines contracted."""
    sections = [
        heading,
        _section("fields", [(f.symbol, f.meaning) for f in action.fields]),
        _section("propagators", _propagators(action)),
        _section("vertices (terms of −S)", [(v.name, _term(action, v)) for v in action.vertices]),
    ]
    if any(f.bilocal for f in action.fields):
        contracted = [(v.name, _term(action, v)) for v in interactions]
        sections.append(_section("vertices with the 𝔚 line contracted (what diagrams are made of)", contracted))
    sections += [f"note: {remark}" for remark in remarks]
    return "\n\n".join(sections)


def _section(title: str, rows: list[tuple[str, str]]) -> str:
    width = max((_columns(left) for left, _ in rows), default=0)
    return "\n".join([title, *(f"  {left}{' ' * (width - _columns(left))}   {right}" for left, right in rows)])


def _columns(text: str) -> int:
    """Columns on a terminal: combining marks, such as the tilde of z̃, take none."""
    return sum(not unicodedata.combining(character) for character in text)


def _letter(action: Action, name: str) -> str:
    return action.field_named[name].symbol.split("(")[0].removesuffix("_i")


def _propagators(action: Action) -> list[tuple[str, str]]:
    """Each line as it is drawn; a response is listed in both reading directions, as in the talk."""
    rows = []
    for p in action.propagators:
        a, b = _letter(action, p.left), _letter(action, p.right)
        if action.field_named[p.right].response:
            rows.append((f"{a}(t) ◂──── {b}(s)", f"G_{{{a}{b}}} = {p.formula}"))
            rows.append((f"{b}(t) ────▸ {a}(s)", f"G_{{{b}{a}}}(t,s) = G_{{{a}{b}}}(s,t)"))
        elif p.delta:
            rows.append((f"{a}(t1,t2) ═════ {b}(t3,t4)", f"{p.name} = {p.formula}"))
        else:
            rows.append((f"{a}(t) ───── {b}(s)", f"G_{{{a}{b}}} = {p.formula}"))
    return rows


def _term(action: Action, vertex: Vertex) -> str:
    factors = [_number(vertex.coefficient)]
    factors += [GREEK.get(name, name) + _power(Fraction(power)) for name, power in vertex.couplings]
    if vertex.width:
        factors.append("N" + _power(-Fraction(vertex.width)))
    points = [f"dt{n + 1}" for n in range(vertex.points)]
    if vertex.source:  # nothing is integrated: it has the time of what its line begins at
        return f"{' '.join(f for f in factors if f)} {_letter(action, vertex.legs[0].field)}"
    legs = [f"{m.formula}(t{m.one + 1},t{m.two + 1})" for m in vertex.memory] + _legs(action, vertex)
    sums = sorted({leg.index for leg in vertex.legs if leg.index is not None})
    total = f"Σ_{{{','.join(sums)}}} " if sums else ""
    return f"{' '.join(f for f in factors if f)} {total}∫ {' '.join(points)} {' '.join(legs)}"


def _legs(action: Action, vertex: Vertex) -> list[str]:
    """The fields; a slot of which something is subtracted reads [h h − ⟨h h⟩] or :h h:."""
    if vertex.subtraction == "none":
        return [_leg(action, leg) for leg in vertex.legs]
    slots: dict[str | None, list[Leg]] = {}
    for leg in vertex.legs:
        slots.setdefault(leg.index, []).append(leg)
    written = []
    for legs in slots.values():
        text = " ".join(_leg(action, leg) for leg in legs)
        # Only what lines other than responses can close has an average; a single leg has none.
        closes = any((leg.field, other.field) in action.lines for leg in legs for other in legs)
        if closes and sum(leg.power for leg in legs) > 1:
            text = f":{text}:" if vertex.subtraction == "wick" else f"[{text} − ⟨{text}⟩]"
        written.append(text)
    return written


def _number(value: Fraction | float) -> str:
    exact = Fraction(value).limit_denominator(10**6)
    if abs(float(exact) - float(value)) > 1e-15 * abs(float(value)):
        return f"{float(value):.6g}"
    return "" if exact == 1 else str(exact)


def _power(power: Fraction) -> str:
    return "" if power == 1 else superscript(power)


def _leg(action: Action, leg: Leg) -> str:
    index = f"_{leg.index}" if leg.index else ""
    points = leg.point if isinstance(leg.point, tuple) else (leg.point,)
    power = _power(Fraction(leg.power))
    return f"{_letter(action, leg.field)}{index}{power}({','.join(f't{p + 1}' for p in points)})"
