"""Orders for the ends of QUIC connections: each is a line of JSON on standard input, and its answer a line on standard output."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

# Seconds that an order may take: the first packet of a connection is sent again a few times meanwhile.
LIMIT = 15


async def follow(orders: dict[str, Callable[..., Awaitable[dict]]]) -> None:
    """Does what is ordered, one after the other, until standard input ends. `orders` has what each order's other fields are given to."""
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    say({"ready": True})
    while line := await lines.readline():
        fields = json.loads(line)
        try:
            answer = await asyncio.wait_for(orders[fields.pop("order")](**fields), LIMIT)
        except Exception as error:  # Whatever it is, the test says it.
            answer = {"error": f"{type(error).__name__} {error}"}
        say(answer)


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)
