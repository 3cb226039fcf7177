"""Encoders of pictures and texts: small ones of ours, any of timm and transformers; saved and loaded."""

from recsys.scl.encoders.build import build_encoder
from recsys.scl.encoders.encoder import Encoder, Undecodable, joined
from recsys.scl.encoders.encoder_folder import load_encoder, save_encoder

__all__ = ["Encoder", "Undecodable", "build_encoder", "joined", "load_encoder", "save_encoder"]
