"""A cloud and the Edges beside it, in a real browser: what its console shows of them, and whose token is good where.

    python edges.py GATEWAY [--screenshots FOLDER]

Needs what console.py needs.
"""

import argparse
import http.server
import pathlib
import socket
import sys
import tempfile
import threading

from console import SIZES, Console, html, status
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "python"))
from gateway import Gateway, expect  # noqa: E402

EDGE_API = "https://edge.example/ascalon-web-api"


class Rubbish(http.server.BaseHTTPRequestHandler):
    """What a port answers that is none of a gateway's."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>It works!</h1><script>document.title = 'rubbish'</script>")

    def log_message(self, *_):
        pass


def deployments(playwright, binary, folder):
    """A cloud and the Edges beside it: deployments that neither take each other's tokens nor share anything else."""
    with (
        tempfile.TemporaryDirectory() as place,
        socket.socket() as nobody,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rubbish) as strange,
    ):
        threading.Thread(target=strange.serve_forever, daemon=True).start()
        # Its port is taken, and nothing listens there.
        nobody.bind(("127.0.0.1", 0))
        edge = Gateway(
            binary,
            *["--base-path", "/ascalon-web-api", "--api-url", EDGE_API],
            *["--deployment-name", "Berlin, plant 2", "--max-revocation-delay", "1m"],
            store=f"sqlite://{place}/edge.db",
        )
        cloud = Gateway(
            binary,
            *["--edge", f"berlin={edge.admin_url}"],
            *["--edge", f"hamburg=http://127.0.0.1:{nobody.getsockname()[1]}"],
            *["--edge", f"munich=http://127.0.0.1:{strange.server_port}"],
        )
        new = {"accountId": "acme", "contextId": "call-centre", "name": "Calls"}
        tokens = [gateway.admin("POST", "/api/web-configs", new)["jwt"] for gateway in (cloud, edge)]
        listed(playwright, cloud, edge, folder)
        foreign_tokens(playwright, cloud, edge, *tokens)

        console = Console(playwright, cloud, tempfile.mkdtemp())
        console.sign_in()
        printed = edge.stop()
        console.open("/edge")
        expect("an Edge that has gone is told so", "No status. " in about(console, "berlin"), True)
        console.close()
        printed += cloud.stop()
        expect("no token of either is in a log", any(token in printed for token in tokens), False)
        strange.shutdown()


def about(console, name):
    """What the page says of the Edge of this name."""
    return console.page.get_by_role("region", name=name).inner_text()


def listed(playwright, cloud, edge, folder):
    """The list of Edges in the cloud's console, and the way to the console of one."""
    for scheme, width in SIZES:
        console = Console(playwright, cloud, tempfile.mkdtemp(), scheme, width)
        page = console.page
        console.sign_in()
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Edge").click()
        console.is_at("Edge")
        console.look("edge", folder)
        if (scheme, width) != SIZES[0]:
            console.close()
            continue
        good = about(console, "berlin")
        for words in ["Ready.", "Berlin, plant 2", "/ascalon-web-api", EDGE_API, "60 s", "sqlite", edge.admin_url]:
            expect(f"the list says {words}", words in good, True)
        expect("and which Edge is down", "No status. No connection to it" in about(console, "hamburg"), True)
        expect("and which answers rubbish", "not with the status document" in about(console, "munich"), True)
        expect("of which nothing shows", ("It works!" in html(page), page.title()), (False, "Edge · Voicegain access"))
        expect("the cloud is there to compare", "/v1" in about(console, "This deployment"), True)
        page.get_by_role("region", name="berlin").get_by_role("link").click()
        # It is another console: the operator of this one is nobody there.
        console.is_at("Sign in")
        expect("the link leads to the Edge's console", page.url.startswith(f"{edge.admin_url}/console/"), True)
        page.fill("#token", edge.admin_token)
        page.get_by_role("button", name="Sign in").click()
        console.is_at("Contexts")
        nav = page.get_by_role("navigation", name="Main").inner_text()
        expect("which lists no Edges itself", "Edge" in nav, False)
        expect("and has no such page", page.request.get(f"{edge.admin_url}/console/edge").status, 404)
        console.close()


def foreign_tokens(playwright, cloud, edge, of_cloud, of_edge):
    """A token means nothing to another deployment. Its client is told that it is none; the operator, whose it may be."""
    sides = [
        (cloud, "/v1/x", of_cloud, of_edge, EDGE_API, "https://api.voicegain.ai/v1"),
        (edge, "/ascalon-web-api/x", of_edge, of_cloud, "https://api.voicegain.ai/v1", EDGE_API),
    ]
    for gateway, path, own, foreign, theirs, ours in sides:
        console = Console(playwright, gateway, tempfile.mkdtemp())
        page = console.page
        console.sign_in()
        expect("its own token is good", status(page, path, own, gateway.url), 200)
        answer = page.request.get(gateway.url + path, headers={"Authorization": f"Bearer {foreign}"})
        expect("that of the other is not", answer.status, 401)
        damaged = f"{own[:-8]}AAAAAAAA"
        as_damaged = page.request.get(gateway.url + path, headers={"Authorization": f"Bearer {damaged}"})
        expect("and the client is told no more than of a damaged one", answer.text(), as_damaged.text())

        console.open("/explain")
        page.get_by_label("Token", exact=True).fill(foreign)
        page.get_by_role("button", name="Explain").click()
        by_token = page.locator(".checks .failed").inner_text()
        console.open(f"/explain?request={answer.headers['x-voicegain-request-id']}")
        by_request = page.locator(".checks .failed").inner_text()
        expect("by its request the same is told", by_request, by_token)
        for words in ["none of this id", "Not verified", f"the API {theirs}, and this deployment's is {ours}."]:
            expect(f"the operator is told: {words}", words in by_token, True)
        named = "That is the API of Edge berlin" in by_token
        expect("with the name of the Edge where there is one", named, gateway is cloud)
        console.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gateway")
    parser.add_argument("--screenshots", metavar="FOLDER")
    args = parser.parse_args()
    with sync_playwright() as playwright:
        deployments(playwright, args.gateway, args.screenshots)


if __name__ == "__main__":
    main()
