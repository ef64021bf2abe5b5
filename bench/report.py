"""What a run found, as a table in the terminal, as bench/latest.json and as the chart bench/latest.svg."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.measure import Figure

FOLDER = Path(__file__).resolve().parent
UNITS = {"times": "", "ms": " ms", "MB": " MB", "per second": "/s", "count": ""}
FAR = 2.0  # times the bar: where the chart ends
LEFT, WIDTH, ROW, TOP = 560, 420, 26, 64

STYLE = """
    text { font: 14px system-ui, sans-serif; fill: #1b1b1f }
    .page { fill: #ffffff } .ok { fill: #2a7a4b } .short { fill: #b3261e } .bar { stroke: #1b1b1f }
    .spread { stroke: #1b1b1f; stroke-width: 2 } .quiet { fill: #5c5c66 }
    @media (prefers-color-scheme: dark) {
      text { fill: #ececf1 } .page { fill: #17171c } .ok { fill: #5fc48a } .short { fill: #ff8a80 }
      .bar, .spread { stroke: #ececf1 } .quiet { fill: #a9a9b4 }
    }
"""


def written(number: float, unit: str) -> str:
    """The number with its unit, in as many digits as mean something."""
    if unit == "count":
        return f"{number:.0f}"
    digits = 0 if number >= 100 else 1 if number >= 20 else 2
    return f"{number:.{digits}f}{UNITS[unit]}"


def verdict(figure: Figure) -> str:
    if figure.bar is None:
        return ""
    if not figure.ok:
        return "falls short" if figure.is_as_asked else "falls short: too little load was carried"
    return "ok" if figure.is_clear else "ok within its spread"


def table(figures: Sequence[Figure]) -> str:
    """The figures of each database, line by line."""
    lines: list[str] = []
    for database in dict.fromkeys(figure.database for figure in figures):
        mine = [figure for figure in figures if figure.database == database]
        width = max(len(figure.name) for figure in mine)
        lines += ["", f"{database:{width}}  {'value':>10}  {'bar':>10}  {'lowest … highest':>20}"]
        for figure in mine:
            lines.append(_line(figure, width))
            lines += [f"    {figure.note}"] if figure.note else []
    return "\n".join(lines)


def _line(figure: Figure, width: int) -> str:
    value, (lowest, highest) = written(figure.value, figure.unit), figure.spread
    spread = f"{written(lowest, figure.unit)} … {written(highest, figure.unit)}" if len(figure.rounds) > 1 else ""
    return f"{figure.name:{width}}  {value:>10}  {_bar(figure):>10}  {spread:>20}  {verdict(figure)}".rstrip()


def _bar(figure: Figure) -> str:
    if figure.bar is None:
        return ""
    sign = "=" if figure.unit == "count" else "≥" if figure.at_least else "≤"
    return f"{sign} {written(figure.bar, figure.unit)}"


def summary(figures: Sequence[Figure]) -> str:
    """Which bars fall short, in sentences."""
    bound = [figure for figure in figures if figure.bar is not None]
    short = [figure for figure in bound if not figure.ok]
    if not short:
        return f"All {len(bound)} bars are reached."
    lines = [f"{len(short)} of {len(bound)} bars fall short, also in the best round or for want of load:"]
    for figure in short:
        best = max(figure.rounds) if figure.at_least else min(figure.rounds)
        value, better = written(figure.value, figure.unit), written(best, figure.unit)
        lines.append(f"  {figure.name}: {value}, at best {better}; the bar is {_bar(figure)}.")
    return "\n".join(lines)


def write(figures: Sequence[Figure]) -> None:
    """Writes bench/latest.json and bench/latest.svg."""
    found = [
        {
            "name": figure.name if figure.database == "PostgreSQL" else f"{figure.name} ({figure.database})",
            "value": round(figure.value, 4),
            "bar": figure.bar,
            "ok": figure.ok,
            "spread": [round(one, 4) for one in figure.spread],
            "unit": figure.unit,
            "database": figure.database,
            "note": figure.note,
        }
        for figure in figures
    ]
    (FOLDER / "latest.json").write_text(json.dumps({"figures": found}, indent=2, ensure_ascii=False) + "\n")
    (FOLDER / "latest.svg").write_text(chart([figure for figure in figures if figure.bar is not None]))


def chart(figures: Sequence[Figure]) -> str:
    """A bar for each figure as a share of what it may be: one that stays left of the line reaches its bar."""
    width, height = LEFT + WIDTH + 120, TOP + ROW * len(figures) + 30
    rows = "".join(_row(figure, TOP + ROW * number) for number, figure in enumerate(figures))
    limit = LEFT + WIDTH / FAR
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
  <title>Figures of Balie against their bars</title>
  <style>{STYLE}  </style>
  <rect class="page" width="{width}" height="{height}"/>
  <text x="16" y="28">Figures against their bars: what stays left of the line is good</text>
  <text class="quiet" x="{limit}" y="{TOP - 14}" text-anchor="middle">the bar</text>
{rows}  <line class="bar" x1="{limit}" x2="{limit}" y1="{TOP - 8}" y2="{height - 24}"/>
</svg>
"""


def _row(figure: Figure, y: int) -> str:
    shares = [_share(figure, one) for one in (figure.value, *figure.spread)]
    middle, low, high = (LEFT + WIDTH / FAR * min(share, FAR) for share in shares)
    kind = "ok" if figure.ok else "short"
    return f"""  <text x="{LEFT - 12}" y="{y + 14}" text-anchor="end">{escape(_short(figure.name))}</text>
  <rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{middle - LEFT:.1f}" height="14" rx="2"/>
  <line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}"/>
  <text class="quiet" x="{LEFT + WIDTH + 12}" y="{y + 14}">{escape(written(figure.value, figure.unit))}</text>
"""


def _share(figure: Figure, value: float) -> float:
    """How much of what it may be: 1 is the bar, less is better."""
    assert figure.bar is not None
    return figure.bar / max(value, 1e-9) if figure.at_least else value / figure.bar


def _short(name: str) -> str:
    return name if len(name) <= 76 else f"{name[:75]}…"
