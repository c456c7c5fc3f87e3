"""A gateway's certificates are replaced under load: no request may fail, and the new ones are served.

    python reload_certificate.py GATEWAY...

By the files alone, as certbot and cert-manager leave them, and by SIGHUP; what cannot be used in between changes nothing. Needs
openssl.
"""

import os
import pathlib
import signal
import socket
import ssl
import sys
import tempfile
import time
import urllib.parse

from certificates import Authority
from gateway import Gateway, admin
from load import Load

# How long it waits for what has to come, on however busy a machine.
PATIENCE = 60


class Port:
    """A port with TLS, and the files of its certificate."""

    def __init__(self, name, folder, authority):
        self.name, self.authority = name, authority
        self.cert, self.key = (pathlib.Path(folder) / f"live-{name}.{end}" for end in ("cert", "key"))
        self.made = 0
        self.served = self.put()

    def new(self):
        self.made += 1
        return self.authority.sign(f"{self.name}-{self.made}")

    def put(self):
        """A new pair, one file after the other, and the certificate as clients are shown it."""
        cert, key = self.new()
        shown = ssl.PEM_cert_to_DER_cert(cert.read_text())
        os.replace(cert, self.cert)
        os.replace(key, self.key)
        return shown

    def put_what_does_not_fit(self):
        cert, _ = self.new()
        os.replace(cert, self.cert)

    def put_rubbish(self):
        rubbish = self.cert.with_suffix(".new")
        rubbish.write_text("rubbish\n")
        os.replace(rubbish, self.cert)


class Replacing:
    """A gateway under load, whose certificates are replaced."""

    def __init__(self, binary, folder):
        authority = Authority(folder)
        self.api, self.admin = (Port(name, folder, authority) for name in ("api", "admin"))
        # New sessions each time: one that is taken up again is shown no certificate.
        self.trust = ssl.create_default_context(cafile=authority.cert)
        self.of_operators = ssl.create_default_context(cafile=authority.cert)
        self.of_operators.load_cert_chain(*authority.sign("operator"))
        self.gateway = Gateway(
            binary,
            *("--tls-cert", self.api.cert, "--tls-key", self.api.key),
            *("--admin-tls-cert", self.admin.cert, "--admin-tls-key", self.admin.key),
            *("--admin-client-ca", authority.cert),
        )
        ports = [(self.api, self.gateway.url, self.trust), (self.admin, self.gateway.admin_url, self.of_operators)]
        for port, url, context in ports:
            if not url.startswith("https://"):
                sys.exit(f"the gateway says that it serves {url}")
            port.number, port.context = urllib.parse.urlsplit(url).port, context

    def shown(self, port):
        with socket.create_connection(("127.0.0.1", port.number), timeout=30) as stream:
            with port.context.wrap_socket(stream, server_hostname="127.0.0.1") as secured:
                return secured.getpeercert(binary_form=True)

    def refusals(self):
        """How often the log says of each port that its files cannot be used."""
        lines = os.pread(self.gateway.log.fileno(), 1 << 30, 0).decode().splitlines()
        refused = [line for line in lines if "the certificate stays as it is" in line]
        return [sum(str(port.cert) in line for line in refused) for port in (self.api, self.admin)]

    def wait(self, what, good):
        deadline = time.monotonic() + PATIENCE
        while not good():
            if time.monotonic() > deadline:
                sys.exit(f"{what} has not come")
            time.sleep(0.05)

    def hang_up(self):
        self.gateway.process.send_signal(signal.SIGHUP)

    def replace(self, hang_up):
        for port in (self.api, self.admin):
            port.served = port.put()
        if hang_up:
            self.hang_up()
        for port in (self.api, self.admin):
            self.wait(f"the new certificate of {port.name}", lambda: self.shown(port) == port.served)

    def spoil(self, put, hang_up):
        """Puts there what cannot be used, and sees that it is refused and that what was there goes on."""
        before = self.refusals()
        for port in (self.api, self.admin):
            put(port)
        if hang_up:
            self.hang_up()
        self.wait("a word about what cannot be used", lambda: all(map(int.__gt__, self.refusals(), before)))
        for port in (self.api, self.admin):
            if self.shown(port) != port.served:
                sys.exit(f"{port.name} does not go on with the certificate that it had")

    def token(self):
        new = {"accountId": "a", "contextId": "c", "name": "n"}
        url, token = self.gateway.admin_url, self.gateway.admin_token
        return admin(url, token, "POST", "/api/web-configs", new, self.of_operators)["jwt"]

    def run(self):
        """Everything that is done under load, and how often something usable came."""
        load = Load(self.api.number, self.token(), self.trust)
        replaced = 0
        try:
            load.wait_for(200)
            for hang_up in (False, True, False, True):
                self.replace(hang_up)
                replaced += 1
                load.wait_for(200)
            for put, hang_up in [(Port.put_what_does_not_fit, False), (Port.put_rubbish, True)]:
                self.spoil(put, hang_up)
                load.wait_for(200)
                self.replace(not hang_up)
                replaced += 1
                load.wait_for(200)
        finally:
            load.end()
        return load, replaced


def main():
    for binary in sys.argv[1:]:
        name = os.path.basename(binary)
        with tempfile.TemporaryDirectory() as folder:
            replacing = Replacing(binary, folder)
            try:
                load, replaced = replacing.run()
            finally:
                said = replacing.gateway.stop()
            told = f"{load.sent} requests sent, {len(load.failed)} failed, {load.again} on a kept connection sent again"
            if load.failed:
                sys.exit(f"{name}: {told}: {load.failed[:5]}; it said {said[-2000:]}")
            print(f"ok: {name}, certificates of both ports replaced {replaced} times under load: {told}")


main()
