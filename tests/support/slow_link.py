"""A TCP link on the loopback that is slow: what goes in comes out half a round trip later, connections included.

python -m support.slow_link PORT MILLISECONDS        # prints the port that leads there, until it is ended
"""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, half: float) -> None:
    """Pass on what comes, each piece half a round trip after it came, in order."""
    clock = asyncio.get_running_loop().time
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not piece:
                with contextlib.suppress(OSError):
                    sink.write_eof()
                return
            sink.write(piece)
            with contextlib.suppress(OSError):
                await sink.drain()

    out = asyncio.create_task(deliver())
    with contextlib.suppress(OSError):
        while piece := await source.read(1 << 16):
            waiting.put_nowait((clock() + half, piece))
    waiting.put_nowait((clock() + half, b""))
    await out


async def serve(port: int, milliseconds: float) -> None:
    """Lead connections to a port of this machine until the process is ended."""
    half = milliseconds / 2000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The handshake of TCP is a round trip of its own.
        await asyncio.sleep(2 * half)
        back, on = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_carry(reader, on, half), _carry(back, writer, half))
        on.close()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
