"""Semantic-aware contrastive learning: encoders whose vectors know what is bought after what is looked for."""
