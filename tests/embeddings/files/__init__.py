"""Tests of embeddings/files."""
