"""Semantic-aware contrastive learning (SCL): encoders of items, trained on pairs of a query and the item bought."""
