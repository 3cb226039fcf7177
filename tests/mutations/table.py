"""All mutations, and the settings that have none, each with the reason."""

from tests.mutations import ctr, loop, models, scl

MUTATIONS = [*loop.MUTATIONS, *ctr.MUTATIONS, *models.MUTATIONS, *scl.MUTATIONS]

# setting -> why no mutation of it is in the table
EXCEPTIONS: dict[str, str] = {}
