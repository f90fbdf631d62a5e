"""The model card of an attribute network: the trainer writes it, the evaluation puts its figures in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FIGURES = "## Figures\n"
_AFTER = "\n## "


@dataclass(frozen=True, slots=True)
class Made:
    """What the trainer knows. lines: about data and result, a sentence each."""

    name: str
    network: str
    side: int
    command: str
    data: tuple[str, ...]
    result: tuple[str, ...]


def write_card(path: Path, made: Made) -> None:
    """Writes the card anew; figures of earlier weights do not stay."""
    path.write_text(
        f"""# {made.name}: an estimate of gender

| | |
|---|---|
| Task | One face in, calibrated probabilities of `female`, `male` out |
| Input | `picture`, float32 [N, 3, {made.side}, {made.side}], RGB, 0..255: the recognition frame, masked or not |
| Output | `probabilities`, float32 [N, 2], softmax with the temperature inside the graph |
| Network | {made.network} |
| Licence | Apache-2.0, as this repository |

## Data

{_listed(made.data)}

## Made with

    {made.command}

{_listed(made.result)}

{_FIGURES}
Not measured yet: `python -m tools.evaluate_attributes --card` puts them here.

## Limits

- The two labels are those of the data sets. People whom neither fits are not in the data as such, and get one of
  the two.
- It says how a picture reads, not who somebody is. It is off unless a purpose is stated in the settings, is shown as an
  estimate, and is never an input to matching: the embedder and the matcher do not know of it.
- Wrong answers are not spread evenly over people: see the groups where there are some above, and measure your own.
""",
        encoding="utf-8",
    )


def put_figures(path: Path, text: str) -> None:
    """Replaces the figures of a card. Raises ValueError when the file is no card of ours."""
    card = path.read_text(encoding="utf-8") if path.is_file() else ""
    start = card.find(_FIGURES)
    if start < 0:
        raise ValueError(f"{path}: must be a model card with a line '## Figures', found none")
    start += len(_FIGURES)
    end = card.find(_AFTER, start)
    tail = card[end:] if end >= 0 else ""
    path.write_text(f"{card[:start]}\n{text.strip()}\n{tail}", encoding="utf-8")


def plain_command(arguments: list[str]) -> str:
    """A command line without this machine's folders: of absolute paths the last two parts are kept."""
    return " ".join(re.sub(r"^/(?:[^/]+/)*([^/]+/[^/]+)/?$", r"\1", word) for word in arguments)


def _listed(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
