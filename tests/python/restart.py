"""A gateway is restarted under load, with its ports passed to it as systemd does it: no request may fail.

    python restart.py GATEWAY...

What opens the sockets keeps them open, so that connections wait in them while one process ends and the next one starts.
"""

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile

from gateway import admin
from load import Load

RESTARTS = 5
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


if __name__ == "__main__":
    main()
