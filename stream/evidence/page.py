"""The page of an evidence report: one HTML file without scripts, with its pictures in it, made to be printed on A4."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

_STYLE = """
@page { size: A4; margin: 16mm 15mm 18mm; }
:root { --ink: #1b1f24; --dim: #5b6570; --line: #d5dade; --ground: #f4f6f7; --guess: #8f1717; --seen: #c77700; }
* { box-sizing: border-box; }
html { background: #e8ebed; }
body { font: 10.5pt/1.45 "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif; color: var(--ink);
  background: white; max-width: 210mm; margin: 0 auto; padding: 14mm 15mm 16mm; }
h1 { font-size: 19pt; line-height: 1.2; margin: 1mm 0 2mm; letter-spacing: -.01em; }
h2 { font-size: 12.5pt; margin: 8mm 0 2mm; padding-top: 2.5mm; border-top: .3mm solid var(--ink); break-after: avoid; }
p { margin: 0 0 2.2mm; }
.over { color: var(--dim); font-size: 9pt; letter-spacing: .08em; text-transform: uppercase; margin: 0; }
.dim { color: var(--dim); }
.small { font-size: 9pt; }
.finding { display: grid; grid-template-columns: 43mm 1fr; gap: 6mm; margin: 5mm 0 0; align-items: start; }
.finding.alone { grid-template-columns: 1fr; }
.finding .said { font-size: 15pt; line-height: 1.3; font-weight: 600; margin: 0 0 2mm; }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 100%; border: .2mm solid var(--line); }
figcaption { font-size: 8.5pt; color: var(--dim); margin-top: 1mm; }
figcaption b { color: var(--ink); }
.stills { display: grid; grid-template-columns: 2.06fr 1fr; gap: 3mm 4mm; align-items: start; }
.stills figure.wide { grid-row: 1 / 3; }
.frame { position: relative; overflow: hidden; }
.frame i { position: absolute; border: .6mm solid var(--seen); outline: .2mm solid white; }
.pair { display: grid; grid-template-columns: 46mm 46mm 1fr; gap: 5mm; align-items: start; }
.guess { border: .7mm solid var(--guess); padding: 4mm; break-inside: avoid; }
.guess strong.stamp { display: block; color: var(--guess); font-size: 11.5pt; margin-bottom: 2.5mm; }
table { border-collapse: collapse; width: 100%; font-size: 9.3pt; margin: 1mm 0 3mm; break-inside: avoid; }
th, td { text-align: left; vertical-align: top; padding: 1.1mm 3mm 1.1mm 0; border-bottom: .2mm solid var(--line); }
th { font-weight: 600; color: var(--dim); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
table.facts th { width: 42mm; font-weight: 400; }
table.priors { width: auto; }
table.priors td, table.priors th { padding-right: 9mm; }
tr.this td { font-weight: 600; }
code, .hash { font: 8.3pt/1.4 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--ground); padding: 2.5mm 3mm; margin: 1mm 0 3mm; white-space: pre-wrap; break-inside: avoid;
  font: 8.3pt/1.5 "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
svg { display: block; width: 100%; margin: 2mm 0 1mm; }
section.whole { break-inside: avoid; }
ul { margin: 0 0 2mm; padding-left: 5mm; }
li { margin-bottom: 1.2mm; }
.note { background: var(--ground); border-left: 1mm solid var(--seen); padding: 2mm 3mm; break-inside: avoid; }
footer { margin-top: 8mm; padding-top: 2mm; border-top: .2mm solid var(--line); font-size: 8.5pt; color: var(--dim); }
@media print { html { background: white; } body { padding: 0; max-width: none; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
@media screen and (max-width: 640px) { body { padding: 6mm 5mm; }
  .finding, .pair, .stills { grid-template-columns: 1fr; } .stills figure.wide { grid-row: auto; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, sections: Iterable[str]) -> str:
    """A whole document. title: text; sections: HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str, kind: str = "") -> str:
    """A section under a heading (text); parts: HTML. kind "whole": on one sheet of paper."""
    return f"<section{_kind(kind)}>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f"<p{_kind(kind)}>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """A list of texts."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and texts; rows with an empty text are left out."""
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows if text)
    return f'<table class="facts">{"".join(lines)}</table>'


def table(
    heads: Iterable[str],
    rows: Iterable[Iterable[str]],
    numbers: tuple[int, ...] = (),
    kind: str = "",
    marked: int | None = None,
) -> str:
    """A table of texts. numbers: columns set to the right; marked: the row that stands out."""
    head = "".join(
        f"<th{_kind('number' if i in numbers else '')}>{escape(h)}</th>" for i, h in enumerate(heads)
    )
    body = ""
    for at, row in enumerate(rows):
        cells = "".join(
            f"<td{_kind('number' if i in numbers else '')}>{escape(cell)}</td>" for i, cell in enumerate(row)
        )
        body += f"<tr{_kind('this' if at == marked else '')}>{cells}</tr>"
    return f"<table{_kind(kind)}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def image(data: bytes, kind: str, description: str) -> str:
    """A picture in the page. kind: "png" or "jpeg"; description: text for those who do not see it."""
    encoded = base64.b64encode(data).decode()
    return f'<img src="data:image/{kind};base64,{encoded}" alt="{escape(description)}">'


def figure(content: str, caption: str, kind: str = "") -> str:
    """A picture (HTML) with its caption (HTML)."""
    return f"<figure{_kind(kind)}>{content}<figcaption>{caption}</figcaption></figure>"


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
