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
    """Of N candidates and the U contexts that they share, one a request.

    items    [N]  bool, whether the candidate's id has a row that training never changed, in the table of any feature
             that reads the item's column
    users    [U]  bool, the same of the user's; where users come with the candidates, of any user of that context's
    vectors  modality -> candidates without a vector, [N] bool
    item_ids, user_ids  feature that reads the item's or the user's column -> a bool for each of its values, whether
                        training never changed that row of the feature's table
    """

    items: np.ndarray
    users: np.ndarray
    vectors: dict[str, np.ndarray]
    item_ids: dict[str, np.ndarray]
    user_ids: dict[str, np.ndarray]

    @property
    def user(self) -> bool:
        """Whether any user is unknown."""
        return bool(self.users.any())

    def of(self, request: int, candidates: slice) -> "Unknown":
        """What is unknown of one of the requests, which can be told and refused, but not zeroed any more."""
        vectors = {name: missing[candidates] for name, missing in self.vectors.items()}
        return Unknown(self.items[candidates], self.users[request : request + 1], vectors, {}, {})

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
        """Have unknown ids looked up as zeros instead of as rows that training never changed, each in its own table."""
        for wanted, ids in ((items, self.item_ids), (user, self.user_ids)):
            for name, never in ids.items() if wanted else ():
                rows.ids[name].values[never] = -1


def look_for_unknown(model: ExportedModel, rows: RequestRows) -> Unknown:
    """What ``model`` does not know of ``rows``."""
    schema = model.schema
    item = schema.feature(schema.target).source
    items, users = np.zeros(rows.candidates, bool), np.zeros(rows.contexts, bool)
    bag_index, item_ids, user_ids = rows.bag_index.numpy(), {}, {}
    for feature in schema.features if model.tables else ():
        if feature.kind != "id" or feature.source not in (item, schema.user):
            continue
        assert feature.table is not None
        never = ~model.tables[feature.table].trained(rows.ids[feature.name].values)
        shared = feature.name in rows.shared
        if feature.source == item:
            item_ids[feature.name] = never
            items |= never[bag_index] if shared else never
        if feature.source == schema.user:
            user_ids[feature.name] = never
            users |= never if shared else np.bincount(bag_index[never], minlength=users.size) > 0
    return Unknown(items, users, rows.missing, item_ids, user_ids)
