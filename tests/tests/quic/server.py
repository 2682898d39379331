"""A QUIC server by aioquic whose connection ids carry its server id. It answers each question with its name and where it sees the client."""

import argparse
import asyncio
from functools import partial

import aioquic.asyncio.server
from aioquic.asyncio import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import StreamDataReceived

import control
from connection_ids import connection_id

# Of a packet's first byte: the header is long (RFC 8999 section 5.1).
LONG = 0x80


class Ids:
    """Those that the server has made, and those of packets that are of none of its connections."""

    def __init__(self, make):
        self.make_one = make
        self.issued = set()
        self.unknown = set()

    def make(self) -> bytes:
        new = self.make_one()
        self.issued.add(new)
        return new

    async def list(self) -> dict:
        return {"issued": [cid.hex() for cid in self.issued], "unknown": [cid.hex() for cid in self.unknown]}


class Connection(QuicConnection):
    """aioquic makes random ids and has no setting for others: they are replaced before anybody has heard of them."""

    ids: Ids

    def __init__(self, **options):
        super().__init__(**options)
        self.host_cid = self._host_cids[0].cid = self._local_initial_source_connection_id = self.ids.make()

    def _replenish_connection_ids(self) -> None:
        known = len(self._host_cids)
        super()._replenish_connection_ids()
        for new in self._host_cids[known:]:
            new.cid = self.ids.make()


class Answering(QuicConnectionProtocol):
    """A connection's end that answers a question when all of it is there."""

    def __init__(self, *arguments, name: str, **options):
        super().__init__(*arguments, **options)
        self.name = name
        self.seen_at = None

    def datagram_received(self, data, address) -> None:
        self.seen_at = address
        super().datagram_received(data, address)

    def quic_event_received(self, event) -> None:
        if isinstance(event, StreamDataReceived) and event.end_stream:
            host, port = self.seen_at[:2]
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            self._quic.send_stream_data(event.stream_id, f"{self.name} {where}".encode(), end_stream=True)


class Server(QuicServer):
    """Notes packets of connections that it does not know. It would not answer them."""

    def datagram_received(self, data, address) -> None:
        cid = data[1 : 1 + self._configuration.connection_id_length]
        if data and not data[0] & LONG and cid not in self._protocols:
            Connection.ids.unknown.add(cid)
        super().datagram_received(data, address)


async def main() -> None:
    options = arguments()
    key = bytes.fromhex(options.key) if options.key else None
    make = partial(connection_id, options.config, bytes.fromhex(options.server_id), options.nonce_length, key)
    Connection.ids = Ids(make)
    # The server makes connections by this name.
    aioquic.asyncio.server.QuicConnection = Connection
    configuration = QuicConfiguration(is_client=False, connection_id_length=len(make()))
    configuration.load_cert_chain(options.certificate, options.private_key)
    create = partial(Answering, name=options.name)
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Server(configuration=configuration, create_protocol=create), local_addr=(options.address, options.port)
    )
    await control.follow({"list": Connection.ids.list})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate", required=True, help="file in PEM")
    parser.add_argument("--private-key", required=True, help="file in PEM")
    parser.add_argument("--config", required=True, type=int, help="the three highest bits of each connection id")
    parser.add_argument("--server-id", required=True, help="in hexadecimal digits")
    parser.add_argument("--nonce-length", required=True, type=int)
    parser.add_argument("--key", help="in hexadecimal digits; none: in the clear")
    return parser.parse_args()


asyncio.run(main())
