// The page's start: what the scorer is, the views and the address's hash, keys.

import { get } from "./calls.js";
import { problem, told } from "./elements.js";
import { showItem, startItems } from "./items.js";
import { addTo, startScore } from "./score.js";
import { startTraffic } from "./traffic.js";

const views = ["score", "items", "traffic"];

const show = told(async () => {
  const [view, item] = location.hash.slice(1).split("/");
  const name = views.includes(view) ? view : "score";
  for (const other of views) document.getElementById(other).hidden = other !== name;
  for (const link of document.querySelectorAll("nav a"))
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  if (name === "items" && item) await showItem(decodeURIComponent(item));
});

function name(about) {
  document.getElementById("model").textContent = `${about.run}, step ${about.step.toLocaleString("en")}`;
}

async function start() {
  const about = await get("/v1/page/about");
  name(about);
  startItems(about, addTo);
  await startScore(about);
  addEventListener("hashchange", show);
  await show();
  await startTraffic(() => document.body.setAttribute("data-ready", ""), async () => name(await get("/v1/page/about")));
}

addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, textarea")) {
    event.preventDefault();
    location.hash = "#items";
    setTimeout(() => document.getElementById("words").focus());
  }
});

start().catch(problem);
