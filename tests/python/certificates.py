"""An authority and certificates for tests, made by the openssl program."""

import pathlib
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")


class Authority:
    """What it makes is in a folder, with keys for their owner alone."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", *NEW_KEY, "-days", "30", "-subj", "/CN=tests", "-keyout", self.key, "-out", self.cert)

    def sign(self, name):
        """A new certificate for this machine, a server's or a client's, and its key."""
        cert, key, request, extensions = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        key.chmod(0o600)
        signing = ["-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "30", "-extfile", extensions]
        openssl("x509", "-req", "-in", request, *signing, "-out", cert)
        return cert, key
