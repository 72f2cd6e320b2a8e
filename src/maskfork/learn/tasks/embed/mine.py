"""Hard negatives: for each anchor the texts of other rows that the model finds most alike, but not as alike as the positive.

What is nearly as alike as the positive, or more, may well be an answer that nobody marked, so it is passed over: de Souza P.
Moreira et al. 2024 ("NV-Retriever", section 3.2: at most 95 % of the positive's similarity).
"""

from __future__ import annotations

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.duplicates import normalise
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.models.sentence import SentenceEncoder

#: anchors scored at a time
CHUNK = 256


def mine(encoder: SentenceEncoder, rows: TextRows, count: int, share: float) -> tuple[TextRows, str]:
    """Pairs or triplets with `count` mined negatives a row added, and a sentence on it.

    Candidates are all positives and negatives of all rows, without those that stand with the anchor anywhere. Where all that is
    left is above `share` of the positive's cosine, the least alike are taken. Raises DataError where there are too few texts.
    """
    texts = {normalise(text): text for column in rows.columns[1:] for text in column}
    keys, number = list(texts), {key: i for i, key in enumerate(texts)}
    known: dict[str, set[int]] = {}
    for anchor, *others in zip(*rows.columns, strict=True):
        known.setdefault(normalise(anchor), set()).update(number[normalise(other)] for other in others)
    vectors = encoder.encode_document(list(texts.values()), normalize=True)
    anchors = encoder.encode_query(list(rows.columns[0]), normalize=True)
    found = np.empty((len(rows), count), dtype=np.int64)
    eased = 0
    for start in range(0, len(rows), CHUNK):
        for row, cosines in enumerate(anchors[start : start + CHUNK] @ vectors.T, start):
            own = known[normalise(rows.columns[0][row])]
            order = np.argsort(-cosines, kind="stable")
            order = order[~np.isin(order, list(own))]
            if len(order) < count:
                raise DataError(
                    f"{count} negatives a row cannot be mined from {len(keys)} texts: give more rows, or a smaller negatives."
                )
            below = order[cosines[order] <= share * cosines[number[normalise(rows.columns[1][row])]]]
            eased += len(below) < count
            found[row] = below[:count] if len(below) >= count else order[-count:]
    mined = [tuple(texts[keys[i]] for i in found[:, k].tolist()) for k in range(count)]
    said = f"{count} hard negative{'s' if count > 1 else ''} a row mined from {len(keys):,} texts with the base model"
    if eased:
        said += f"; in {eased:,} rows nearly all texts are as alike as {share:.0%} of the positive, so the least alike were taken"
    return TextRows((*rows.columns, *mined)), said
