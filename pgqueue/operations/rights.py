"""What the parts of an application may do in the database, given to the roles that play them.

An *enqueuer* may enqueue, by Python or by SQL, and read nothing of what others have enqueued. A
*worker* may carry out every operation; only the schema itself stays its owner's. A *reader* may
read everything and change nothing. A role may play several parts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from pgqueue.operations.operation import Operation
from pgqueue.operations.params import as_json

PARTS: Final = ("enqueuer", "worker", "reader")


class Right(NamedTuple):
    """One right of a *role* that its *part* needs, and the *command* that gives it.

    Without a part, the command takes rights away.
    """

    part: str | None
    role: str
    command: str
    held: bool | None

    @property
    def what(self) -> str:
        """The table, sequence, function or schema that it is a right on."""
        return self.command.partition(" ON ")[2].rpartition(" TO ")[0]

    @property
    def privileges(self) -> set[tuple[str, str]]:
        """Each verb that it allows, with the columns if it is of some only, and *what* it is on."""
        verbs = self.command.partition(" ON ")[0].partition(" ")[2]
        return {(verb, self.what) for verb in ([verbs] if "(" in verbs else verbs.split(", "))}


def grant(
    roles: Mapping[str, Collection[str | None]],
    *,
    stripped: Collection[str] = (),
    pretend: bool = False,
) -> Operation[list[Right]]:
    """Give the *roles* of each part the rights that it needs; None is the role that asks.

    Roles in *stripped* first lose every right here. *pretend*: change nothing, and answer what
    would be done and what each role has already. Raises NotPermitted for anybody but the schema's
    owner.
    """
    given = [{"part": part, "role": role} for part in roles for role in roles[part]]
    params = {
        "roles": as_json(given),
        "stripped": as_json(list(stripped)),
        "pretend": "true" if pretend else "false",
    }
    return Operation("rights/grant", params, lambda answers: [Right(*row) for row in answers[-1]])
