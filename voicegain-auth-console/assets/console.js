// What the pages can do besides: copying, taking a token off a page that is left, and what origins mean while they are typed.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const shown = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
      document.getElementById("said").textContent = "The token is copied.";
    } catch {
      // Without HTTPS there may be no clipboard.
      getSelection().selectAllChildren(shown);
      button.textContent = "Press Ctrl+C";
    }
  });
}

// A page that is left may be kept whole by the browser and shown again: not what is shown once.
addEventListener("pagehide", () => {
  for (const shown of document.querySelectorAll("[data-once]")) shown.textContent = "It was shown once.";
});

const element = (name, text, children = []) => {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...children);
  return made;
};

const listed = (word, origins) =>
  origins.flatMap((origin, at) => [at === 0 ? word : ", ", element("code", origin)]);

const item = ({ pattern, problem, matches, differs }) => {
  const said = problem
    ? element("span", problem)
    : element("span", "", [...listed("matches ", matches), ...listed("; not ", differs)]);
  const made = element("li", "", [element("code", pattern), " ", said]);
  made.classList.toggle("bad", Boolean(problem));
  return made;
};

for (const field of document.querySelectorAll("[data-meanings]")) {
  const list = field.form.querySelector(".meanings");
  let asked = 0;
  let timer;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++asked;
      const body = new URLSearchParams({ session: field.form.elements.session.value, origins: field.value });
      const answer = await fetch(field.dataset.meanings, { method: "POST", body }).catch(() => null);
      // What was asked later is what counts.
      if (answer?.ok && mine === asked) list.replaceChildren(...(await answer.json()).map(item));
    }, 150);
  });
}
