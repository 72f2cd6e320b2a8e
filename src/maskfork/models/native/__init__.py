"""A decoder's and an encoder's pass as machine code, built on this machine by its own C++ compiler."""

from maskfork.models.native.build import library
from maskfork.models.native.decoder import NativeDecoder, refusal
from maskfork.models.native.encoder import NativeEncoder
from maskfork.models.native.refused import Bits, encoder_refusal

__all__ = ["Bits", "NativeDecoder", "NativeEncoder", "encoder_refusal", "library", "refusal"]
