"""A decoder's pass as machine code, built on this machine by its own C++ compiler."""

from maskfork.models.native.build import library
from maskfork.models.native.decoder import Bits, NativeDecoder, refusal

__all__ = ["Bits", "NativeDecoder", "library", "refusal"]
