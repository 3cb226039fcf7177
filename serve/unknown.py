"""What an exported model does not know of a request: items and users that it never learnt of, missing vectors."""

from dataclasses import dataclass

import numpy as np

from embeddings.errors import InputError
from recsys.exported.model import ExportedModel
from recsys.features.request_rows import RequestRows


class Unwanted(InputError):
    """A request of which the policy refuses what the model does not know."""


@dataclass(frozen=True)
class Unknown:
    """Of one request.

    items    [N]  bool, whether training never changed the embedding of the candidate's id
    user     whether it never changed that of the user's; False where no feature is the user's id
    vectors  modality -> candidates without a vector, [N] bool
    item_feature, user_feature  names of the features that were looked at, None where there is none
    """

    items: np.ndarray
    user: bool
    vectors: dict[str, np.ndarray]
    item_feature: str | None
    user_feature: str | None

    def refuse(self, items: bool, user: bool, vectors: bool) -> None:
        """Raise InputError for what is unknown and not allowed to be."""
        if items and self.items.any():
            raise Unwanted(
                f"candidates: {int(self.items.sum())} of {self.items.size} items were not trained on, the first is "
                f"candidate {int(np.argmax(self.items))}; leave them out"
            )
        if user and self.user:
            raise Unwanted("context: the user was not trained on")
        for name, missing in self.vectors.items():
            if vectors and missing.any():
                raise Unwanted(
                    f"candidates: {int(missing.sum())} of {missing.size} have no vector of modality '{name}', "
                    f"the first is candidate {int(np.argmax(missing))}; leave them out, or encode them"
                )

    def zero(self, rows: RequestRows, items: bool, user: bool) -> None:
        """Have unknown ids looked up as zeros instead of as rows that training never changed."""
        if items and self.item_feature is not None and self.items.any():
            values = rows.ids[self.item_feature].values
            values[self.items if values.size == self.items.size else slice(None)] = -1
        if user and self.user and self.user_feature is not None:
            rows.ids[self.user_feature].values[:] = -1


def look_for_unknown(model: ExportedModel, rows: RequestRows) -> Unknown:
    """What ``model`` does not know of a request's ``rows``."""
    schema = model.schema
    item = schema.feature(schema.target)
    user = next((f for f in schema.features if f.kind == "id" and f.source == schema.user), None)
    items = np.zeros(rows.candidates, bool)
    if model.tables and item.table is not None:
        items[:] = ~model.tables[item.table].trained(rows.ids[item.name].values)
    unknown_user = False
    if model.tables and user is not None and user.table is not None:
        unknown_user = bool((~model.tables[user.table].trained(rows.ids[user.name].values)).all())
    names = (item.name if model.tables else None, user.name if model.tables and user else None)
    return Unknown(items, unknown_user, rows.missing, *names)
