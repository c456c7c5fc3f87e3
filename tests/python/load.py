"""Clients for the scripts that change something under load."""

import http.client
import threading

ONE_SHOT, KEPT_ALIVE = 8, 4


class Load:
    """Clients that ask without a pause until they are told to end, over TLS if there is a context for it."""

    def __init__(self, port, token, tls=None):
        self.port, self.tls, self.headers = port, tls, {"Authorization": f"Bearer {token}"}
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
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=30)
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
