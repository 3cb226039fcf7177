"""Near-line training: a CTR model follows a stream of impressions, and publishes what changes; see docs/stream.md."""
