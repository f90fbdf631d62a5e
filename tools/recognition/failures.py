"""Pictures of which nothing could be made, counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tools.recognition.seeing import Sights


def failures(sights: Sights) -> dict[str, Any]:
    """How many pictures there were, and of how many nothing could be made, and why."""
    why = Counter(failure for failure in sights.failure if failure)
    unfit = Counter(u for u, f in zip(sights.unfit, sights.failure, strict=True) if u and not f)
    return {
        "pictures": len(sights.failure),
        "failed": sum(why.values()),
        "reasons": dict(why.most_common()),
        "gate_would_refuse": sum(unfit.values()),
        "gate_reasons": dict(unfit.most_common()),
        "taken_for_masked": int(sights.masked[sights.made].sum()),
    }
