"""A gateway is restarted under load, with its ports passed to it as systemd does it: no request may fail.

    python restart.py GATEWAY...

What opens the sockets keeps them open, so that connections wait in them while one process ends and the next one starts.
"""

import fcntl
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from gateway import admin

RESTARTS = 5
ONE_SHOT, KEPT_ALIVE = 8, 4
# Far above where the passed sockets go.
HIGH = 100
PASSING = """
import os, sys
for to, passed in enumerate(sys.argv[1:3], 3):
    os.dup2(int(passed), to)
    os.close(int(passed))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


def listening():
    opened = socket.create_server(("127.0.0.1", 0), backlog=1024)
    moved = fcntl.fcntl(opened, fcntl.F_DUPFD, HIGH)
    port = opened.getsockname()[1]
    opened.close()
    return moved, port


def start(binary, sockets, folder, admin_token, log):
    """The process number is known only in the new process, so that this begins as another program."""
    process = subprocess.Popen(
        [sys.executable, "-c", PASSING, *map(str, sockets), binary, "--store", f"sqlite://{folder}/store.db"],
        env={
            **os.environ,
            "VOICEGAIN_ADMIN_TOKEN": admin_token,
            "LISTEN_FDS": "2",
            "LISTEN_FDNAMES": "api:admin",
        },
        pass_fds=sockets,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    first = process.stdout.readline()
    if not first.startswith("listening on"):
        sys.exit(f"the gateway said {first!r}")
    return process


class Load:
    """Clients that ask without a pause until they are told to end."""

    def __init__(self, port, token):
        self.port, self.headers = port, {"Authorization": f"Bearer {token}"}
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.sent = self.again = 0
        self.failed = []
        self.threads = [threading.Thread(target=self.one_shot) for _ in range(ONE_SHOT)]
        self.threads += [threading.Thread(target=self.kept_alive) for _ in range(KEPT_ALIVE)]
        for thread in self.threads:
            thread.start()

    def ask(self, connection):
        connection.request("GET", "/v1/x", headers=self.headers)
        answer = connection.getresponse()
        answer.read()
        return answer

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def one_shot(self):
        while not self.ended.is_set():
            connection = self.connect()
            self.count(lambda: self.ask(connection).status)
            connection.close()

    def kept_alive(self):
        connection, used = self.connect(), False
        while not self.ended.is_set():

            def exchange():
                nonlocal connection, used
                try:
                    answer = self.ask(connection)
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    # A server may close a connection that waits at any time, also as a request sets out: who keeps
                    # connections sends such a request again (RFC 9112 section 9.3.1). A new one has no such excuse.
                    if not used:
                        raise
                    with self.lock:
                        self.again += 1
                    connection.close()
                    connection = self.connect()
                    answer = self.ask(connection)
                used = not answer.will_close
                if answer.will_close:
                    connection.close()
                    connection = self.connect()
                return answer.status

            self.count(exchange)
        connection.close()

    def count(self, exchange):
        try:
            outcome = exchange()
        except (OSError, http.client.HTTPException) as error:
            outcome = repr(error)
        with self.lock:
            self.sent += 1
            if outcome != 200:
                self.failed.append(outcome)

    def wait_for(self, more):
        """Until so many more have been sent."""
        goal = self.sent + more
        while self.sent < goal and not self.failed:
            self.ended.wait(0.01)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def create(port, admin_token):
    new = {"accountId": "a", "contextId": "c", "name": "n"}
    return admin(f"http://127.0.0.1:{port}", admin_token, "POST", "/api/web-configs", new)["jwt"]


def restarted_under_load(binary):
    (api, api_port), (operators, admin_port) = listening(), listening()
    admin_token = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        process = start(binary, (api, operators), folder, admin_token, log)
        load = Load(api_port, create(admin_port, admin_token))
        try:
            for _ in range(RESTARTS):
                load.wait_for(500)
                process.send_signal(signal.SIGTERM)
                if process.wait(timeout=40) != 0:
                    sys.exit(f"the gateway ended with {process.returncode}")
                process = start(binary, (api, operators), folder, admin_token, log)
            load.wait_for(500)
        finally:
            load.end()
            process.terminate()
            process.wait(timeout=40)
        os.close(api)
        os.close(operators)
        name = os.path.basename(binary)
        told = f"{load.sent} requests sent, {len(load.failed)} failed, {load.again} on a kept connection sent again"
        if load.failed:
            log.seek(0)
            sys.exit(f"{name}: {told}: {load.failed[:5]}; it said {log.read().decode()[-2000:]}")
        print(f"ok: {name}, restarted {RESTARTS} times under load: {told}")


def main():
    for binary in sys.argv[1:]:
        restarted_under_load(binary)


main()
