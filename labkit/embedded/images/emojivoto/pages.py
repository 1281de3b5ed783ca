"""The page of emojivoto: one shell for every path, filled in the browser from the API."""

import os
from html import escape

FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<text y="13" font-size="13">🗳️</text></svg>'
).encode()

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.6rem; } nav a { margin-right: 1rem; }
#grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.2rem, 1fr)); gap: .4rem; }
#grid button { font-size: 1.8rem; background: #fff; border: 1px solid #ddd; border-radius: .4rem;
  padding: .4rem; cursor: pointer; } #grid button:hover { background: #eef6ff; }
#grid small { display: block; font-size: .8rem; color: #444; } #said { min-height: 1.6em; }
"""

SCRIPT = """
const grid = document.getElementById("grid"), said = document.getElementById("said");
const board = location.pathname === "/leaderboard";
document.querySelector("h1").textContent = board ? "Leaderboard" : "EMOJI VOTE";
async function show() {
  const answer = await fetch(board ? "/api/leaderboard" : "/api/list");
  if (!answer.ok) { said.textContent = (await answer.json()).error; return; }
  grid.replaceChildren(...(await answer.json()).map(emoji => {
    const button = document.createElement("button");
    button.title = emoji.shortcode;
    button.textContent = emoji.unicode;
    if (board) {
      const votes = document.createElement("small");
      votes.textContent = emoji.votes;
      button.append(votes);
    } else button.onclick = () => vote(emoji);
    return button;
  }));
}
async function vote(emoji) {
  const answer = await fetch("/api/vote?choice=" + emoji.shortcode);
  said.textContent = answer.ok ? "You voted for " + emoji.unicode
                               : answer.status + ": " + (await answer.json()).error;
}
show();
"""


def shell() -> str:
    """The HTML of every page; `MESSAGE_OF_THE_DAY` is shown below the title."""
    message = escape(os.environ.get("MESSAGE_OF_THE_DAY", ""))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Emoji Vote</title>'
        '<link rel="icon" href="/img/favicon.ico">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>EMOJI VOTE</h1><p>{message}</p>"
        '<nav><a href="/">Vote</a><a href="/leaderboard">Leaderboard</a></nav>'
        '<p id="said"></p><div id="grid"></div>'
        '<script src="/js"></script></body></html>\n'
    )
