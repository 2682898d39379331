"""A QUIC client by aioquic with many connections, which it takes along to other addresses and ports."""

import argparse
import asyncio

from aioquic.asyncio import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

import control

QUESTION = b"who"


class Socket(asyncio.DatagramProtocol):
    """What comes to it is the connection's. A connection outlives its sockets, so it is not their protocol itself."""

    def __init__(self, connection: QuicConnectionProtocol):
        self.connection = connection
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, address) -> None:
        self.connection.datagram_received(data, address)

    def connection_lost(self, error) -> None:
        self.closed.set_result(None)

    async def close(self) -> None:
        self.transport.close()
        await self.closed


class Client:
    """All connections, by number, each with its present socket."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.connections = {}

    async def connect(self, host: str, port: int) -> dict:
        configuration = QuicConfiguration(is_client=True, server_name=self.options.name, cafile=self.options.certificate)
        connection = QuicConnectionProtocol(QuicConnection(configuration=configuration))
        socket = await bind(connection, host, port)
        connection.connection_made(socket.transport)
        number = len(self.connections)
        self.connections[number] = connection, socket
        # The address as packets come from it: of IPv6 with more than two parts.
        scope = (0, 0) if ":" in self.options.address else ()
        connection.connect((self.options.address, self.options.port, *scope))
        await connection.wait_connected()
        return {"connection": number} | local(socket)

    async def move(self, connection: int, host: str, port: int, same_id: bool) -> dict:
        """Goes on from another address and port: as a client that notices it, with another connection id, or as one that does not."""
        moved, old = self.connections[connection]
        socket = await bind(moved, host, port)
        moved.connection_made(socket.transport)
        self.connections[connection] = moved, socket
        if not same_id:
            before = moved._quic._peer_cid.cid
            moved.change_connection_id()
            if moved._quic._peer_cid.cid == before:
                raise RuntimeError("the server has given no other connection id")
        await old.close()
        return local(socket)

    async def ask(self, connection: int) -> dict:
        reader = await self.send_question(connection)
        return {"said": (await reader.read()).decode()}

    async def ask_in_vain(self, connection: int) -> dict:
        """Asks, and does not wait. Nobody answers, so the connection asks again and again."""
        await self.send_question(connection)
        return {}

    async def send_question(self, connection: int) -> asyncio.StreamReader:
        reader, writer = await self.connections[connection][0].create_stream()
        writer.write(QUESTION)
        writer.write_eof()
        return reader

    async def close(self, connection: int) -> dict:
        """Ends it, and waits until its port is free again. The other end is told once."""
        ended, socket = self.connections[connection]
        ended.close()
        await socket.close()
        return {}


async def bind(connection: QuicConnectionProtocol, host: str, port: int) -> Socket:
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_datagram_endpoint(lambda: Socket(connection), local_addr=(host, port))
    return socket


def local(socket: Socket) -> dict:
    return {"port": socket.transport.get_extra_info("sockname")[1]}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of the service")
    parser.add_argument("port", type=int)
    parser.add_argument("--name", required=True, help="that the certificate is for")
    parser.add_argument("--certificate", required=True, help="file in PEM")
    client = Client(parser.parse_args())
    orders = [client.connect, client.move, client.ask, client.ask_in_vain, client.close]
    await control.follow({order.__name__: order for order in orders})


asyncio.run(main())
