"""EmitEvent (spec executor/04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.primitives.abi import EVENT_MAX_TOPICS, GlErrno
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, array_of, blob, fields, invalid, mapping

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

#: Contracts below this version do not know the message.
EVENTS_SINCE = (0, 1, 5)
TOPIC_BYTES = 32

_EMIT_EVENT = (("topics", array_of(blob)), ("blob", mapping))


def emit_event(vm: Guest, payload: Encoded) -> None:
    """Posted to the host at once, from sandboxes and called contracts too; needs no permission letter.

    ``inval`` for contracts that declare a version before v0.1.5, then ``forbidden`` in a nondet VM (with strict views
    in a contract that is called, too), then ``inval`` for more than 4 topics or one that has not 32 bytes.
    """
    if vm.version is None or vm.version < EVENTS_SINCE:
        raise invalid()
    topics, content = fields(payload, _EMIT_EVENT)
    if not vm.deterministic or not vm.spec.permissions.emit_events:
        raise Refused(GlErrno.FORBIDDEN)
    if len(topics) > EVENT_MAX_TOPICS or any(len(topic) != TOPIC_BYTES for topic in topics):
        raise invalid()
    vm.services.host.post_event(topics, content.to_bytes())
