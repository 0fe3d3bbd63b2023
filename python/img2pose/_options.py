"""The options of the detector, as properties of its element."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ._pipeline import Property

#: Other properties of img2posedetect, by their names.
Properties = Mapping[str, Property]


def properties(
    *,
    batch_size: int,
    model: str | os.PathLike[str] | None,
    score_threshold: float | None,
    min_size: int | None,
    max_faces: int | None,
    precision: str | None,
    execution_provider: str | None,
    num_threads: int | None,
    others: Properties | None,
) -> dict[str, Property]:
    """What is to be set; what is ``None`` stays as the element has it."""
    if model is not None:
        model = os.fspath(model)
        if not os.path.exists(model):
            raise FileNotFoundError(f"no such model: {model}")
    named: dict[str, Property | None] = {
        "batch-size": batch_size,
        "model": model,
        "score-threshold": score_threshold,
        "min-size": min_size,
        "max-faces": max_faces,
        "precision": precision,
        "execution-provider": execution_provider,
        "num-threads": num_threads,
    }
    chosen = {name: value for name, value in named.items() if value is not None}
    for name, value in (others or {}).items():
        chosen[name.replace("_", "-")] = value
    return chosen
