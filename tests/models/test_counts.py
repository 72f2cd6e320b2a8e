"""Published parameter counts, on the meta device."""

from __future__ import annotations

import pytest
import torch

from maskfork.models.families import all_families
from maskfork.models.families.family import Published
from maskfork.models.model import Model

PUBLISHED = {f"{name}: {one.name}": (name, one) for name, family in all_families().items() for one in family.published}


@pytest.mark.parametrize(("name", "one"), list(PUBLISHED.values()), ids=list(PUBLISHED))
def test_count(name: str, one: Published) -> None:
    family, config = all_families()[name], {**one.config, "model_type": name}
    spec = family.spec(config)
    if one.head is not None:
        spec = spec.replace(head=family.head(one.head, config))
    with torch.device("meta"):
        model = Model(spec, config)
    assert sum(p.numel() for p in model.parameters()) == one.count
