"""The audit as one page with figures, which loads nothing from elsewhere."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

from .audit_report import TITLE, Section, details, first_page, setting
from .audit_words import doubts, reading, unknown
from .intervals import Interval
from .report import drawn_part, page, require_figures, table_part

if TYPE_CHECKING:
    from .audit import Audit, Examined

_BAND: Final = "rgba(99,110,250,.2)"


def as_page(audit: Audit, command: str) -> str:
    """The first page, figures, and every number.

    Args:
        audit: what was found.
        command: repeats it.

    Raises:
        ConfigError: the library that draws is not installed.
    """
    graph = require_figures()
    parts = [_text(text) for text in setting(audit)]
    for section in first_page(audit):
        parts += _section(section, 2)
    for one in audit.examined:
        parts += [f"<h3>{html.escape(one.name)}</h3>", _list(reading(one))]
    missing = [f"{one.name}: {text}." for one in audit.examined for text in unknown(one)]
    parts += ["<h2>What is not known</h2>", _list(missing or ["Nothing that was asked."]), _text(doubts(audit))]
    releases = ", ".join(" ".join(one) for one in audit.libraries)
    parts += [f"<pre>{html.escape(command)}</pre>", _text(f"Seed {audit.seed}; {releases}."), "<h2>Figures</h2>"]
    drawn = [_accuracy(graph, audit), _against_cost(graph, audit)]
    for one in audit.examined:
        drawn += [_confusion(graph, one), _timelines(graph, one)]
        if one.around_blocks:
            drawn.append(_around(graph, one))
    parts += [drawn_part(figure, number) for number, figure in enumerate(drawn)]
    for one in audit.examined:
        parts.append(f"<h2>{html.escape(one.name)}: details</h2>")
        for section in details(one):
            parts += _section(section, 3)
    return page(TITLE, parts)


def _text(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _list(texts: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>"


def _section(section: Section, level: int) -> list[str]:
    return [
        f"<h{level}>{html.escape(section.title)}</h{level}>",
        *([_text(section.note)] if section.note else []),
        table_part(section.head, section.rows) if section.rows else "<p>Nothing.</p>",
    ]


def _layout(figure: Any, title: str, x: str, y: str, **more: Any) -> Any:
    return figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white", **more)


def _bars(found: list[Interval]) -> dict[str, Any]:
    """Error bars, which need not be as long above as below."""
    return {
        "type": "data",
        "array": [one.high - one.value for one in found],
        "arrayminus": [one.value - one.low for one in found],
    }


def _accuracy(graph: Any, audit: Audit) -> Any:
    figure = graph.Figure()
    names = [one.name for one in audit.examined]
    for at, leak in enumerate(audit.examined[0].leaks):
        found = [one.leaks[at].accuracy for one in audit.examined]
        figure.add_scatter(
            x=names, y=[one.value for one in found], error_y=_bars(found), name=leak.attacker, mode="markers"
        )
    figure.add_scatter(
        x=names,
        y=[one.blind for one in audit.examined],
        name="blind guess",
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 40, "color": "black"},
    )
    return _layout(
        figure, "Right guesses by profile and attacker", "profile", "share", scattermode="group", yaxis_range=[0, 1.02]
    )


def _against_cost(graph: Any, audit: Audit) -> Any:
    figure = graph.Figure()
    for one in audit.examined:
        if one.bill is not None:
            figure.add_scatter(
                x=[one.bill.month.value / 1e9],
                y=[one.accuracy.value],
                error_x=_bars([Interval(*(end / 1e9 for end in one.bill.month))]),
                error_y=_bars([one.accuracy]),
                name=one.name,
                mode="markers",
            )
    return _layout(
        figure,
        "The strongest attacker's right guesses against cost",
        "GB a month and link",
        "share",
        yaxis_range=[0, 1.02],
    )


def _confusion(graph: Any, one: Examined) -> Any:
    names = [name for name, _ in one.classes]
    cells = [list(row) for row in one.best.confusion]
    figure = graph.Figure()
    figure.add_heatmap(x=names, y=names, z=cells, text=cells, texttemplate="%{text}", colorscale="Blues")
    return _layout(
        figure, f"{one.name}: windows by activity and guess, {one.best.attacker}", "guess", "activity",
        yaxis_autorange="reversed",
    )  # fmt: skip


def _timelines(graph: Any, one: Examined) -> Any:
    figure = graph.Figure()
    for timeline in one.timelines:
        # A logarithm has no zero: seconds without a byte are gaps.
        figure.add_scatter(
            x=list(range(len(timeline.volume))),
            y=[count or None for count in timeline.volume],
            name=timeline.activity,
            mode="lines+markers",
        )
    return _layout(
        figure, f"{one.name}: a window of each activity, of median volume", "second", "bytes", yaxis_type="log"
    )


def _around(graph: Any, one: Examined) -> Any:
    seconds = [at.second for at in one.around_blocks]
    means = [at.volume for at in one.around_blocks]
    figure = graph.Figure()
    figure.add_scatter(
        x=[*seconds, *reversed(seconds)],
        y=[*(mean.high for mean in means), *(mean.low for mean in reversed(means))],
        fill="toself",
        fillcolor=_BAND,
        line={"width": 0},
        name="95 % of each second",
    )
    figure.add_scatter(x=seconds, y=[mean.value for mean in means], name="mean", mode="lines")
    return _layout(figure, f"{one.name}: volume around blocks", "seconds from a block", "bytes a second")
