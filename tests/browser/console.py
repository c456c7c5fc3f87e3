"""The console in a real browser: what an operator does there, and the ways in which somebody could have a token again.

    python console.py GATEWAY [--screenshots FOLDER]

Needs Chromium, and the packages playwright and axe-playwright-python.
"""

import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "python"))
from gateway import Gateway, expect  # noqa: E402

TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
SIZES = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


class Console:
    """A browser of its own at the console."""

    def __init__(self, playwright, gateway, profile, scheme="light", width=1280):
        self.gateway = gateway
        self.kind = f"{scheme}-{width}"
        self.context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=shutil.which("chromium") or sys.exit("there is no chromium; install it"),
            # Chromium wants no sandbox of its own for root.
            chromium_sandbox=os.geteuid() != 0,
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
        )
        self.page = self.context.pages[0]
        self.complaints = []
        for page in self.context.pages:
            self.listen(page)
        self.context.on("page", self.listen)

    def listen(self, page):
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self.said)

    def said(self, message):
        # That an answer is no success, or that nothing was kept, is what some steps are about.
        is_meant = re.search("responded with a status of 4|ERR_CACHE_MISS", message.text)
        if message.type == "error" and not is_meant:
            self.complaints.append(message.text)

    def open(self, path):
        self.page.goto(f"{self.gateway.admin_url}/console{path}")

    def sign_in(self):
        self.open("/contexts")
        self.page.fill("#token", self.gateway.admin_token)
        self.page.get_by_role("button", name="Sign in").click()
        self.is_at("Contexts")
        print("ok: signed in")

    def is_at(self, title):
        """Waits for the page of this title: a click is over before its page has come."""
        self.page.get_by_role("heading", level=1, name=title, exact=True).wait_for()

    def create(self, account, context, name):
        self.open("/contexts")
        self.page.get_by_label("Account").last.fill(account)
        self.page.get_by_label("Context", exact=True).fill(context)
        self.page.get_by_label("Name of the web config").fill(name)
        self.page.get_by_role("button", name="Create, and show its token").click()
        token = self.page.locator("[data-once]").inner_text()
        expect("a token is shown", bool(TOKEN.fullmatch(token)), True)
        return token

    def look(self, name, folder):
        """At the page as it is: axe finds nothing, nothing hangs over the edge."""
        results = Axe().run(self.page)
        found = [f"{it['id']}: {it['nodes'][0]['html']}" for it in results.response["violations"]]
        expect(f"{name}, {self.kind}: axe finds nothing", found, [])
        over = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        expect(f"{name}, {self.kind}: nothing hangs over", over, 0)
        if folder:
            self.page.screenshot(path=pathlib.Path(folder) / f"{name}-{self.kind}.png", full_page=True)

    def close(self):
        self.context.close()
        expect("the pages had nothing to complain of", self.complaints, [])


def status(page, path, token, base):
    """What a call with this token is answered, asked beside the browser."""
    answer = page.request.get(base + path, headers={"Authorization": f"Bearer {token}"})
    return answer.status


def operator(playwright, gateway):
    """What an operator does, from signing in to signing out."""
    profile = tempfile.mkdtemp()
    console = Console(playwright, gateway, profile)
    page = console.page
    console.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=gateway.admin_url)

    console.open("/contexts")
    page.fill("#token", "not-the-admin-token")
    page.get_by_role("button", name="Sign in").click()
    expect("a wrong token is told so", page.get_by_role("alert").inner_text().startswith("That is not"), True)
    console.sign_in()

    first = console.create("acme", "call-centre", "Calls")
    expect("the first token is good", status(page, "/v1/x", first, gateway.url), 200)
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    expect("it is copied", page.evaluate("navigator.clipboard.readText()"), first)
    page.get_by_role("link", name="I have copied it").click()
    own = page.url.removeprefix(f"{gateway.admin_url}/console")

    # Each pattern's meaning is shown as one types, and nothing is saved of what does not fit.
    origins = page.get_by_label("Allowed origins")
    origins.press_sequentially("https://*.shop.example\nhttps://*")
    page.get_by_text("not https://shop.example").wait_for()
    page.locator(".meanings .bad").wait_for()
    page.get_by_role("button", name="Save").click()
    expect("what does not fit is told", "pattern 2" in page.get_by_role("alert").inner_text(), True)
    expect("and is still there", origins.input_value(), "https://*.shop.example\nhttps://*")
    origins.fill("https://*.shop.example")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved").wait_for()

    page.get_by_role("link", name="Regenerate").click()
    page.get_by_role("heading", name="What stops working").wait_for()
    page.get_by_role("link", name="Leave it as it is").click()
    expect("nothing has happened", status(page, "/v1/x", first, gateway.url), 200)
    page.get_by_role("link", name="Regenerate").click()
    page.get_by_role("button", name="Regenerate, and show the new token").click()
    second = page.locator("[data-once]").inner_text()
    expect("the old token is good no more", status(page, "/v1/x", first, gateway.url), 401)
    expect("the new one is", status(page, "/v1/x", second, gateway.url), 200)

    ways_to_have_it_again(console, own, second)
    expect("and nothing has been regenerated by that", status(page, "/v1/x", second, gateway.url), 200)

    console.open(own)
    page.get_by_role("link", name="Token for a page").click()
    page.get_by_label("Origin of the page").fill("https://app.example.com")
    page.get_by_role("button", name="Mint").click()
    minted = page.locator("[data-once]").inner_text()
    headers = {"Authorization": f"Bearer {minted}", "Origin": "https://app.example.com"}
    expect("the minted token is good for its page", page.request.get(gateway.url + "/v1/x", headers=headers).status, 200)
    headers["Origin"] = "https://other.example.com"
    expect("and not for another", page.request.get(gateway.url + "/v1/x", headers=headers).status, 403)

    page.get_by_role("link", name="Why was it refused?").click()
    page.get_by_label("Token", exact=True).fill(first)
    page.get_by_role("button", name="Explain").click()
    expect("a refusal is explained", "Its signature" in page.locator(".checks .failed").inner_text(), True)
    expect("without the token", first in html(page), False)

    # What was refused is found again by the id that its answer has.
    headers = {"Authorization": f"Bearer {first}"}
    answer = page.request.get(gateway.url + "/v1/asr/transcribe", headers=headers)
    page.get_by_label("Id of the request").fill(answer.headers["x-voicegain-request-id"])
    page.get_by_role("button", name="Find").click()
    page.get_by_text("GET /v1/asr/transcribe, request").wait_for()
    expect("a refusal is found again", "Its signature" in page.locator(".checks .failed").inner_text(), True)
    expect("without its token", first in html(page), False)

    cookie = next(one for one in console.context.cookies() if one["name"] == "voicegain-console")
    expect("no script sees the cookie", (cookie["httpOnly"], cookie["sameSite"]), (True, "Lax"))
    page.get_by_role("button", name="Sign out").click()
    console.is_at("Sign in")
    console.context.add_cookies([cookie])
    console.open("/contexts")
    expect("signed out on the server too", page.get_by_role("heading", level=1).inner_text(), "Sign in")
    console.close()
    return profile, [first, second, minted, gateway.admin_token]


def ways_to_have_it_again(console, own, token):
    """On the page that shows a token: each way somebody might have it again shows another page, or none."""
    page, base = console.page, f"{console.gateway.admin_url}/console"

    def shows_nothing(way, shown=page):
        expect(f"not by {way}", token in html(shown), False)

    page.reload()
    shows_nothing("reloading")
    expect("which does nothing", "sent before" in page.inner_text("main"), True)
    page.goto(base + own)
    for way, go in [("Back", page.go_back), ("Forward", page.go_forward)]:
        try:
            go()
        except Error as error:
            # The browser has no page to show and would have to send the form again.
            expect(f"{way} finds nothing kept", "ERR_CACHE_MISS" in str(error), True)
        shows_nothing(way)
    other = console.context.new_page()
    for path in [own, f"{own}/regenerate", "/contexts", f"{own}/mint"]:
        other.goto(base + path)
        shows_nothing(f"another tab at {path.rsplit('/', 1)[-1]}", other)
    kept = other.evaluate("({ ...localStorage, ...sessionStorage })")
    cookies = [one["value"] for one in console.context.cookies()]
    expect("not from the session", (kept, any(token in value for value in cookies)), ({}, False))
    cached = other.evaluate(
        """async path => {
            const answer = await fetch(path, { cache: "only-if-cached", mode: "same-origin" }).catch(() => null);
            return answer?.ok ? answer.text() : "";
        }""",
        f"{base}{own}/regenerate",
    )
    expect("not from the response cache", token in cached, False)
    other.close()


def html(page):
    """All that a page holds, once the browser has come to rest on it: its own page for what it has not kept comes late."""
    for _ in range(50):
        try:
            return page.evaluate("document.documentElement.outerHTML")
        except Error:
            page.wait_for_timeout(100)
    sys.exit("the browser does not come to rest")


def kept_on_disk(profile, tokens):
    """Whether any file that the browser has left holds one of these."""
    for file in pathlib.Path(profile).rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for token in tokens:
                if token.encode() in content:
                    return str(file)
    return None


def page_cache(playwright, gateway):
    """A page that is left may be kept whole: also where the browser keeps pages that say not to."""
    console = Console(playwright, gateway, tempfile.mkdtemp())
    console.sign_in()
    token = console.create("acme", "page-cache", "Page cache")
    # What the browser would keep, as it is at the moment the page is left.
    console.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    expect("not from the page cache", token in console.page.content(), False)
    console.close()


def appearance(playwright, gateway, folder):
    """Each page, wide and narrow, light and dark: axe finds nothing, nothing hangs over the edge."""
    for scheme, width in SIZES:
        console = Console(playwright, gateway, tempfile.mkdtemp(), scheme, width)
        page = console.page

        def look(name, console=console):
            console.look(name, folder)

        console.open("/contexts")
        look("sign-in")
        console.sign_in()
        look("contexts")
        console.create("acme", "call-centre", "Web page")
        look("token")
        page.get_by_role("link", name="I have copied it").click()
        page.get_by_label("Allowed origins").fill("https://*.shop.example\nhttps://*")
        page.locator(".meanings .bad").wait_for()
        look("web-config")
        own = page.url
        page.get_by_role("link", name="call-centre").click()
        console.is_at("API security")
        look("context")
        for path, name in [("/regenerate", "regenerate"), ("/delete", "delete"), ("/mint", "mint")]:
            page.goto(own + path)
            look(name)
        page.get_by_label("Origin of the page").fill("https://app.example.com")
        page.get_by_role("button", name="Mint").click()
        page.locator("[data-once]").wait_for()
        look("minted")
        page.goto(f"{gateway.admin_url}/console/explain")
        page.get_by_label("Token", exact=True).fill("x")
        page.get_by_role("button", name="Explain").click()
        page.locator(".checks").wait_for()
        look("explain")
        page.get_by_role("link", name="Changes").click()
        console.is_at("Changes")
        expect("who has created it is told", page.locator(".changes li").first.inner_text().count("admin token"), 1)
        look("changes")
        page.goto(f"{gateway.admin_url}/console/nothing")
        look("problem")
        console.close()


def keyboard(playwright, gateway):
    """Signed in, created and copied without a mouse."""
    console = Console(playwright, gateway, tempfile.mkdtemp())
    page = console.page
    console.open("/contexts")
    # The browser gives the focus with its first picture, which may come after the page has been loaded.
    page.locator("#token:focus").wait_for()
    page.keyboard.type(gateway.admin_token)
    page.keyboard.press("Enter")
    console.is_at("Contexts")
    page.keyboard.press("Tab")
    expect("the first stop skips to the content", page.evaluate("document.activeElement.className"), "skip")
    page.keyboard.press("Enter")
    for field, text in [("new-account", "acme"), ("new-context", "keyboard"), ("new-name", "By keyboard")]:
        for _ in range(20):
            if page.evaluate("document.activeElement.id") == field:
                break
            page.keyboard.press("Tab")
        expect(f"{field} is reached", page.evaluate("document.activeElement.id"), field)
        page.keyboard.press("Control+A")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.locator("[data-once]").wait_for()
    console.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gateway")
    parser.add_argument("--screenshots", metavar="FOLDER")
    args = parser.parse_args()
    audit_log = pathlib.Path(tempfile.mkdtemp()) / "audit.log"
    gateway = Gateway(args.gateway, "--audit-log", audit_log)
    with sync_playwright() as playwright:
        profile, tokens = operator(playwright, gateway)
        expect("what is left on the disk can be read", bool(kept_on_disk(profile, ["/console/web-configs/"])), True)
        expect("no token is left on the disk", kept_on_disk(profile, tokens), None)
        page_cache(playwright, gateway)
        keyboard(playwright, gateway)
        appearance(playwright, gateway, args.screenshots)
    printed = gateway.stop()
    expect("no token is in the log", any(token in printed for token in tokens), False)
    written = audit_log.read_text()
    expect("what was done is written down", written.count('"act":"create"') > 0, True)
    expect("and no token is", bool(TOKEN.search(written)), False)
    expect("nor the admin token", gateway.admin_token in printed, False)


if __name__ == "__main__":
    main()
