"use strict";
// Asks for the state every two seconds and replaces the panels that have changed.
const base = document.body.dataset.base;
const PERIOD_MS = 2000;
const LIMIT_MS = 8000;
const shown = {};
let paused = false;

const byId = (id) => document.getElementById(id);

async function ask(path, options = {}) {
  const headers = { "X-XSRFToken": document.body.dataset.xsrf, "Content-Type": "application/json" };
  const signal = AbortSignal.timeout(LIMIT_MS);
  const answer = await fetch(base + path, { ...options, headers, signal, cache: "no-store" });
  if (answer.status === 403) throw new Error("this page's credential is no longer valid; open the address that `labkit dashboard` has printed");
  return answer.json();
}

function replace(panels) {
  for (const [name, markup] of Object.entries(panels)) {
    if (shown[name] === markup || (name === "tap" && paused)) continue;
    shown[name] = markup;
    byId(name).innerHTML = markup;
  }
}

function lost(problem) {
  const place = byId("lost");
  place.hidden = !problem;
  const text = problem ? `✘ The live view's own server does not answer (${problem}); the figures below are old. Is \`labkit dashboard\` still running?` : "";
  if (place.textContent !== text) place.textContent = text;
}

async function update() {
  try {
    const state = await ask("state");
    replace(state.panels);
    byId("wan").hidden = !state.wan;
    lost("");
  } catch (error) {
    lost(error.message);
  }
  setTimeout(update, PERIOD_MS);
}

async function change(path, values) {
  const place = byId("wan-answer");
  place.textContent = "…";
  try {
    const answer = await ask(path, { method: "POST", body: JSON.stringify(values) });
    place.textContent = answer.problem ? `✘ ${answer.problem}` : `✔ ${answer.done}`;
    place.className = answer.problem ? "fail" : "pass";
  } catch (error) {
    place.textContent = `✘ ${error.message}`;
  }
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Go on" : "Pause";
});
byId("check").addEventListener("click", () => ask("checks", { method: "POST", body: "{}" }).catch((error) => lost(error.message)));
byId("wan").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(event.target));
  change("wan", Object.fromEntries(Object.entries(given).filter(([, value]) => value !== "")));
});
byId("wan-reset").addEventListener("click", () => {
  byId("wan").reset();
  change("wan/reset", {});
});
update();
