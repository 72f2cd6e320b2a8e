"""Contrastive search (Su et al. 2022, equation 5): of the likeliest `top_k` tokens the one that is likely and unlike the past.

score(v) = (1 - alpha) * p(v) - alpha * max over earlier places of cos(h_v, h_j), h being the last hidden states.

Legend: A texts still written, K candidates, S tokens so far, E hidden size.
"""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from maskfork.prompt.generate.chain import Chain
from maskfork.prompt.generate.prompts import Prompts
from maskfork.prompt.generate.reading import Reading, scores_of
from maskfork.prompt.generate.seen import Seen
from maskfork.prompt.generate.settings import Settings
from maskfork.prompt.generate.stops import Stops, told
from maskfork.prompt.generate.written import Reason, Written


def write_contrastive(reading: Reading, prompts: Prompts, chain: Chain, stops: Stops, settings: Settings) -> Written:
    """One text a prompt."""
    rows, start = prompts.ids.shape
    ids = prompts.room()
    ended: list[Reason] = [prompts.cut_by] * rows
    active = torch.arange(rows, device=ids.device)
    alpha = settings.penalty_alpha or 0.0
    out = reading.step(prompts.ids, prompts.keep)
    logits, past_ASE = scores_of(out), normalize(out.last_hidden_state.float(), dim=-1)
    for at in range(start, ids.shape[1]):
        probs = chain(Seen(ids[active, :at], start, prompts.source_of(active)), logits).softmax(-1)
        top = probs.topk(min(settings.top_k, probs.shape[1]))
        count = top.indices.shape[1]
        reading.cache = reading.cache.repeat(count)
        out = reading.step(top.indices.reshape(-1, 1))
        tried_AKE = normalize(out.last_hidden_state[:, -1].float(), dim=-1).view(len(active), count, -1)
        likeness = tried_AKE @ past_ASE.transpose(1, 2)  # [A, K, S]
        likeness = likeness.masked_fill((ids[active, :at] < 0)[:, None], -1.0).amax(-1)
        pick = ((1 - alpha) * top.values - alpha * likeness).argmax(-1)
        tokens = top.indices.gather(1, pick[:, None]).squeeze(1)
        ids[active, at] = tokens
        by_end = stops.at_end(tokens)
        by_string = stops.at_string(ids[active, start : at + 1]) & ~by_end
        told(ended, active, by_end, by_string)
        on = (~by_end & ~by_string).nonzero().squeeze(-1)
        if not len(on) or at + 1 == ids.shape[1]:
            break
        chosen = (torch.arange(len(active), device=ids.device) * count + pick)[on]
        reading.take(chosen)
        logits = scores_of(out)[chosen]
        past_ASE = torch.cat([past_ASE[on], tried_AKE[on, pick[on]][:, None]], dim=1)
        active = active[on]
    return prompts.finished(ids, ended)
