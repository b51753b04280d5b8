"""All metrics as the text of one answer."""

from __future__ import annotations

from pgqueue.jobs.tally import Figures
from pgqueue.views.metrics import StoreFigures, store_families, text, worker_families


def exposition(figures: Figures, store: StoreFigures | None) -> str:
    """Return the metrics; those of a store that does not answer are missing."""
    return text([*worker_families(figures), *([] if store is None else store_families(store))])
