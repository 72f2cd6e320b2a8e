"""A base in four bits: NF4 with double quantisation (Dettmers et al. 2023), in plain torch."""

from maskfork.models.quantised.nf4 import NF4, NF4_LEVELS
from maskfork.models.quantised.rewrite import bytes_of, dense_table, dequantise, is_quantised, quantise

__all__ = ["NF4", "NF4_LEVELS", "bytes_of", "dense_table", "dequantise", "is_quantised", "quantise"]
