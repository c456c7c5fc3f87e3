"""A gateway process to talk to, for the scripts beside this file."""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import urllib.request


class Gateway:
    """A gateway process on free ports, with its store in memory and its echo for an upstream, unless told otherwise."""

    def __init__(self, binary, *arguments, store="memory:", admin_listen="127.0.0.1:0"):
        self.admin_token = secrets.token_urlsafe(32)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [binary, "--store", store, "--listen", "127.0.0.1:0", "--admin-listen", admin_listen, *arguments],
            env={**os.environ, "VOICEGAIN_ADMIN_TOKEN": self.admin_token},
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.printed = []
        self.url = self.address("listening on")
        self.admin_url = self.address("admin on")

    def address(self, what):
        for line in self.printed:
            if found := re.search(what + r" (https?://\S+)", line):
                return found[1]
        while line := self.process.stdout.readline():
            self.printed.append(line)
            if found := re.search(what + r" (https?://\S+)", line):
                return found[1]
        sys.exit(f"the gateway never said '{what}'; it said: {self.printed}")

    def admin(self, method, path, body=None):
        return admin(self.admin_url, self.admin_token, method, path, body)

    def stop(self):
        """Ends the process and gives back all it has printed."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=40)
        self.log.seek(0)
        return "".join(self.printed) + rest + self.log.read().decode()


def admin(url, token, method, path, body=None, context=None):
    """What the admin API of the gateway at this URL answers, over TLS to a client with this context."""
    request = urllib.request.Request(
        url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")
    print(f"ok: {what}")
