"""torch's scaled_dot_product_attention: no mask, its causal flag, or a dense mask, whichever says exactly the rule."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal, spread
from maskfork.core.kernels.products import by_products, pays
from maskfork.core.mask import Causal, Full


class Sdpa:
    """Dense: padded rows are computed and thrown away."""

    name = "sdpa"

    def plan(self, ask: Ask) -> Plan | Refusal:
        if ask.weights:
            return Refusal(self.name, "it does not give the attention weights")
        if ask.softcap is not None:
            return Refusal(self.name, "it cannot cap the logits")
        _, queries, keys = ask.sizes
        rule = ask.bound
        if not ask.bias and rule == Full():
            return self._taken(ask, "no mask", None, causal=False)
        if not ask.bias and rule == Causal() and ask.offset + queries == keys:
            if queries == 1:
                return self._taken(ask, "no mask: one query that may read all", None, causal=False)
            if ask.offset == 0:
                return self._taken(ask, "its causal flag", None, causal=True)
        return self._taken(ask, "a dense mask", ask.allowed(), causal=False)

    def _taken(self, ask: Ask, how: str, allowed: Tensor | None, *, causal: bool) -> Plan:
        empty = None
        if allowed is not None:
            nothing = ~allowed.any(-1)  # [B or 1, H or 1, Q]
            # An empty row through a softmax is zeros in one back end and NaN in another: let it read all, then zero it.
            empty = nothing.transpose(1, 2)[..., None] if bool(nothing.any()) else None
            if empty is not None:
                allowed = allowed | nothing[..., None]

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            mask = allowed
            if bias is not None:
                mask = bias(q, spread(k, ask.heads), ask.places).to(q.dtype)
                if allowed is not None:
                    mask = mask.masked_fill(~allowed, float("-inf"))
            if mask is not None:
                mask = mask.expand(q.shape[0], -1, -1, -1)  # the fast CPU kernel wants the batch spelled out
            out = quickest(q, k, v, mask, ask.scale, ask.dropout, causal=causal)
            return (out if empty is None else out.masked_fill(empty, 0.0)), None

        return Plan(self.name, how, run)


def quickest(
    q_BQHD: Tensor, k_BKGD: Tensor, v_BKGD: Tensor, mask: Tensor | None, scale: float, dropout: float, *, causal: bool
) -> Tensor:
    """`attend`, or the same by single multiplications where these are quicker."""
    if not pays(q_BQHD, k_BKGD, mask, dropout):
        return attend(q_BQHD, k_BKGD, v_BKGD, mask, scale, dropout, causal=causal)
    heads = q_BQHD.shape[2]
    return by_products(q_BQHD, spread(k_BKGD, heads), spread(v_BKGD, heads), mask, scale, dropout, causal=causal)


def attend(
    q_BQHD: Tensor, k_BKGD: Tensor, v_BKGD: Tensor, mask: Tensor | None, scale: float, dropout: float, *, causal: bool
) -> Tensor:
    """One call of torch's kernel with our layout, [B, Q, H, D of v]."""
    heads, size, wanted = q_BQHD.shape[2], q_BQHD.shape[3], v_BKGD.shape[3]
    if wanted < size and q_BQHD.device.type == "cpu":  # its fast kernel wants values as wide as queries: half the time
        v_BKGD = F.pad(v_BKGD, (0, size - wanted))
    # Its grouped queries spare the copies of keys and values; on a GPU no fast kernel takes them with a mask.
    grouped = k_BKGD.shape[2] < heads and (mask is None or q_BQHD.device.type == "cpu")
    if not grouped:
        k_BKGD, v_BKGD = spread(k_BKGD, heads), spread(v_BKGD, heads)
    out: Tensor = F.scaled_dot_product_attention(
        q_BQHD.transpose(1, 2),
        k_BKGD.transpose(1, 2),
        v_BKGD.transpose(1, 2),
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=causal,
        scale=scale,
        enable_gqa=grouped,
    )
    return out.transpose(1, 2)[..., :wanted]
