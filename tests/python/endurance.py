"""Large bodies pass through a gateway in bounded memory, and rubbish leaves it serving.

    python tests/python/endurance.py path/to/voicegain-gateway
"""

import http.server
import random
import socket
import socketserver
import sys
import threading
from urllib.parse import urlsplit

from gateway import Gateway, expect

MIB = 1024 * 1024
SIZE = 100 * MIB
LIMIT = 64 * MIB
BLOCK = b"v" * 65536


class Upstream(http.server.BaseHTTPRequestHandler):
    """Takes any body and counts it; gives a large one."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        for _ in range(SIZE // len(BLOCK)):
            self.wfile.write(BLOCK)

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        taken = 0
        while taken < left:
            block = self.rfile.read(min(len(BLOCK), left - taken))
            if not block:
                break
            taken += len(block)
        answer = str(taken).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def connect(gateway):
    parts = urlsplit(gateway.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=60)
    return connection, f"{parts.hostname}:{parts.port}"


def read_answer(connection):
    """Status and number of body bytes of an answer to a request that said `Connection: close`."""
    head = b""
    while b"\r\n\r\n" not in head:
        block = connection.recv(65536)
        if not block:
            return head.split(b"\r\n")[0], 0, b""
        head += block
    head, _, body = head.partition(b"\r\n\r\n")
    count, first = len(body), body
    while block := connection.recv(65536):
        count += len(block)
        first = (first + block)[:64]
    return head.split(b"\r\n")[0], count, first


def peak_memory(process):
    """The most resident memory the process has had, in bytes; Linux only."""
    with open(f"/proc/{process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def download(gateway, jwt):
    connection, host = connect(gateway)
    with connection:
        connection.sendall(
            f"GET /v1/large HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {jwt}\r\nConnection: close\r\n\r\n".encode()
        )
        status, count, _ = read_answer(connection)
    expect("a download of 100 MiB is answered", status, b"HTTP/1.1 200 OK")
    expect("and arrives whole", count, SIZE)


def upload(gateway, jwt):
    connection, host = connect(gateway)
    with connection:
        connection.sendall(
            f"POST /v1/large HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {jwt}\r\nConnection: close\r\n"
            f"Content-Length: {SIZE}\r\n\r\n".encode()
        )
        for _ in range(SIZE // len(BLOCK)):
            connection.sendall(BLOCK)
        status, _, body = read_answer(connection)
    expect("an upload of 100 MiB is answered", status, b"HTTP/1.1 200 OK")
    expect("and arrives whole", body, str(SIZE).encode())


def rubbish(random, host, jwt):
    """Some malformed request."""
    noise = random.randbytes(random.randrange(1, 200))
    head = f"GET /v1/x HTTP/1.1\r\nHost: {host}\r\n".encode()
    end = b"\r\nConnection: close\r\n\r\n"
    damaged = bytearray(jwt.encode())
    damaged[random.randrange(len(damaged))] ^= random.randrange(1, 256)
    return random.choice(
        [
            noise,
            noise + b"\r\n\r\n",
            head + b"Authorization: Bearer " + noise.replace(b"\n", b"").replace(b"\r", b"") + end,
            head + b"Authorization: Bearer " + bytes(damaged).replace(b"\n", b"").replace(b"\r", b"") + end,
            head + b"Origin: " + noise.replace(b"\n", b"").replace(b"\r", b"") + end,
            head + b": no name" + end,
            head + b"Content-Length: -1" + end,
            head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: " + host.encode() + end,
            b"GET /v1/x HTTP/9.9\r\n\r\n",
            b"GET /v1/%c0%af%2e HTTP/1.1\r\nHost: " + host.encode() + end,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise,
            head + b"Authorization: Bearer " + b"." * random.randrange(9000) + end,
        ]
    )


def main(binary):
    upstream = Server(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    gateway = Gateway(binary, "--upstream", f"http://127.0.0.1:{upstream.server_port}")
    body = {"accountId": "a", "contextId": "c", "name": "endurance"}
    jwt = gateway.admin("POST", "/api/web-configs", body)["jwt"]

    download(gateway, jwt)
    upload(gateway, jwt)
    peak = peak_memory(gateway.process)
    print(f"the gateway's memory went up to {peak / MIB:.1f} MiB")
    expect("which is less than 64 MiB", peak < LIMIT, True)

    seed = 20261125
    generator = random.Random(seed)
    answers = {}
    for _ in range(10_000):
        connection, host = connect(gateway)
        with connection:
            connection.settimeout(10)
            try:
                connection.sendall(rubbish(generator, host, jwt))
                connection.shutdown(socket.SHUT_WR)
                status, _, _ = read_answer(connection)
            except OSError:
                status = b"reset"
        code = status.split(b" ")[1].decode() if status.startswith(b"HTTP/") else "no HTTP/1 answer"
        answers[code] = answers.get(code, 0) + 1
    print(f"10,000 malformed requests (seed {seed}) were answered: {dict(sorted(answers.items()))}")
    expect("none of them with an accept or a 5xx", [code for code in answers if code[0] in "25"], [])
    download(gateway, jwt)
    print(f"the gateway's memory went up to {peak_memory(gateway.process) / MIB:.1f} MiB")
    gateway.stop()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
