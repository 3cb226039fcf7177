"""Encoders of pictures and texts: small ones of ours, any of timm and transformers; saved and loaded."""
