"""One request to a host and its reply, however they travel."""

from __future__ import annotations

from pygenvm.executor.host_protocol.codec import Request, encode_error, encode_reply
from pygenvm.executor.host_protocol.host import Host, HostErrorReply

#: The executor has closed the connection between two requests.
LEFT = "executor closed the connection"


async def answer(host: Host, request: Request) -> bytes:
    """Carries out one request and gives the bytes of its reply, empty if there is none.

    Raises what the host raised, except :class:`HostErrorReply` where the protocol has an error byte, and
    ``ValueError`` if the host's value does not fit the reply.
    """
    try:
        value = await getattr(host, request.method.name.lower())(**request.fields)
    except HostErrorReply as refusal:
        return encode_error(request.method, refusal.code)
    return encode_reply(request, value)
