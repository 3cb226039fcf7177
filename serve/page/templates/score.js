// Scoring: a form of the request's columns, candidates as cards, scores and why.

import { describe, post } from "./calls.js";
import { why } from "./details.js";
import { el, meter, thumb, title, told } from "./elements.js";

const MOST_SHOWN = 60; // items of a history
const $ = (id) => document.getElementById(id);
const ids = (text) => text.match(/-?\d+/g) ?? [];
let about, context = {}, strips = {}, cards = [], answer = null;

const named = (side) => Object.entries(about.columns).filter(([, column]) => column.context === side);
const ofItems = (name) => about.histories.includes(name);

export async function startScore(settings) {
  about = settings;
  for (const [name, column] of named(true)) {
    const many = column.kind === "list";
    const input = el(many ? "textarea" : "input", { name, autocomplete: "off", spellcheck: false });
    const limit = column.max_length ? `, the newest ${column.max_length} are read` : "";
    const label = el("label", {}, many ? `${name}: ids, oldest first${limit}` : name, input);
    context[name] = input;
    const field = el("div", { className: many ? "wide" : "" }, label);
    if (ofItems(name)) {
      strips[name] = el("div", { className: "strip" });
      field.append(strips[name]);
      input.addEventListener("change", told(() => showStrip(name)));
    }
    input.addEventListener("input", stale);
    $("context").append(field);
  }
  $("request").addEventListener("submit", told(score));
  $("request").addEventListener("keydown", (event) => event.ctrlKey && event.key === "Enter" && $("request").requestSubmit());
  $("add").addEventListener("click", told(addTyped));
  $("new").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey) told(addTyped)(event);
  });
  $("clear").addEventListener("click", told(clear));
  $("example").addEventListener("click", told(example));
  $("sorted").addEventListener("change", order);
  $("example").hidden = !named(false).some(([, column]) => column.example.length);
  await (($("example").hidden) ? clear() : example());
}

async function clear() {
  cards = [];
  for (const input of Object.values(context)) input.value = "";
  await Promise.all(Object.keys(strips).map(showStrip));
  stale();
  order();
}

async function example() {
  await clear();
  for (const [name, column] of named(true)) context[name].value = column.example;
  await Promise.all(Object.keys(strips).map(showStrip));
  const columns = named(false);
  const found = await describe(about.columns[about.item].example);
  for (const [i, item] of found.entries())
    cards.push(candidate(item, Object.fromEntries(columns.map(([name, column]) => [name, column.example[i] ?? ""]))));
  order();
}

async function showStrip(name) {
  const given = ids(context[name].value), shown = given.slice(-MOST_SHOWN);
  const items = await describe(shown);
  const older = given.length > shown.length ? [el("span", { className: "quiet" }, `${given.length - shown.length} older`)] : [];
  strips[name].replaceChildren(...older, ...items.map((item) => thumb(item)));
  if (!given.length) strips[name].append(el("span", { className: "quiet" }, "No items yet."));
}

async function addTyped() {
  const wanted = ids($("new").value);
  if (!wanted.length) throw new Error("Type ids of items to add, such as 17 42.");
  await add(wanted);
  $("new").value = "";
}

async function add(wanted) {
  if (cards.length + wanted.length > about.most_candidates)
    throw new Error(`A page scores at most ${about.most_candidates} candidates; send more by POST /v1/score.`);
  for (const item of await describe(wanted)) {
    const above = cards[cards.length - 1]?.values() ?? {};
    const given = Object.fromEntries(named(false).map(([name]) => [name, item.facts[name] ?? above[name] ?? ""]));
    cards.push(candidate(item, { ...given, [about.item]: item.id }));
  }
  stale();
  order();
}

// What the view of an item adds to: "candidate" or "history".
export const addTo = (what, id) => told(async () => {
  if (what === "candidate") await add([id]);
  else
    for (const name of Object.keys(strips)) {
      context[name].value = `${context[name].value.trim()} ${id}`.trim();
      await showStrip(name);
      stale();
    }
  location.hash = "#score";
})();

// A candidate's card: ``values`` are the texts of its columns.
function candidate(item, values) {
  const inputs = {};
  for (const [name] of named(false)) {
    if (name === about.item) continue;
    inputs[name] = el("input", { value: values[name], autocomplete: "off" });
    inputs[name].addEventListener("input", stale);
  }
  const fields = Object.entries(inputs).map(([name, input]) => el("label", {}, name, input));
  const result = el("div", { className: "result", role: "status" });
  const flags = [
    ...(item.trained === false ? ["never trained"] : []),
    ...Object.entries(item.vectors).filter(([, has]) => !has).map(([name]) => `no vector of ${name}`),
  ];
  const details = el("details", { hidden: true }, el("summary", {}, "Why"));
  const card = { item, result, details };
  card.values = () => ({ ...Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value])), [about.item]: item.id });
  const remove = el("button", { type: "button", className: "small", ariaLabel: `Remove ${title(item)}`, onclick: () => {
    cards = cards.filter((other) => other !== card);
    stale();
    order();
  } }, "Remove");
  card.element = el("article", { className: "card candidate" },
    el("div", { className: "row" }, thumb(item),
      el("div", { className: "name" }, el("b", {}, title(item)), el("span", { className: "quiet" }, item.id), " ", el("span", { className: "flag" }, flags.join(", "))),
      el("div", { className: "columns" }, ...fields), result, remove),
    details);
  return card;
}

function order() {
  const sorted = [...cards];
  if ($("sorted").checked && answer) sorted.sort((a, b) => (b.score ?? 0) - (a.score ?? 0));
  const empty = el("p", { className: "quiet" }, "No candidates yet: add ids above, or look items up under Items.");
  $("candidates").replaceChildren(...(sorted.length ? sorted.map((card) => card.element) : [empty]));
}

// Scores of another request than the one that is seen are taken away.
function stale() {
  if (!answer) return;
  answer = null;
  $("scored").textContent = "The request has changed; score it again.";
  for (const card of cards) {
    card.result.replaceChildren();
    card.details.hidden = true;
    card.score = undefined;
  }
}

function value(name, text) {
  const column = about.columns[name];
  if (column.kind === "list") return ids(text).map(BigInt);
  const whole = text.trim();
  if (!whole) throw new Error(`Column ${name} is empty.`);
  if (column.kind === "id") {
    if (!/^-?\d+$/.test(whole)) throw new Error(`Column ${name} is "${whole}"; an integer is wanted.`);
    return BigInt(whole);
  }
  if (!Number.isFinite(Number(whole))) throw new Error(`Column ${name} is "${whole}"; a number is wanted.`);
  return Number(whole);
}

async function score() {
  if (!cards.length) throw new Error("There is no candidate; add one.");
  const scored = [...cards], rows = scored.map((card) => card.values());
  const request = {
    context: Object.fromEntries(named(true).map(([name]) => [name, value(name, context[name].value)])),
    candidates: Object.fromEntries(named(false).map(([name]) => [name, rows.map((row) => value(name, row[name]))])),
  };
  const start = performance.now();
  const got = await post("/v1/page/explain", request);
  const took = performance.now() - start;
  const histories = await historiesOf(rows);
  answer = got;
  const most = Math.max(...got.scores);
  for (const [i, card] of scored.entries()) {
    card.score = got.scores[i];
    card.result.replaceChildren(
      el("b", {}, `${(100 * got.scores[i]).toFixed(2)} %`), " ", el("span", { className: "quiet" }, `logit ${got.logits[i].toFixed(3)}`),
      meter(most ? got.scores[i] / most : 0));
    card.details.replaceChildren(card.details.firstChild, why(got, i, histories[i]));
    card.details.hidden = false;
  }
  const cut = Object.keys(got.truncated).length ? `; cut to its newest: ${Object.keys(got.truncated).join(", ")}` : "";
  const user = got.unknown.user ? "; the user was never trained on" : "";
  $("scored").textContent = `Scored and explained in ${took.toFixed(0)} ms by version ${Number(got.version)}${user}${cut}`;
  order();
  const first = $("candidates").querySelector("details");
  if (first && !$("candidates").querySelector("details[open]")) first.open = true;
}

// For each candidate: modality -> items of its history, as far as they are read.
async function historiesOf(rows) {
  const described = {};
  for (const [name, { history }] of Object.entries(about.modalities)) {
    const most = about.columns[history].max_length ?? Infinity;
    const texts = about.columns[history].context ? [context[history].value] : rows.map((row) => row[history]);
    described[name] = await Promise.all(texts.map((text) => describe(ids(text).slice(-most))));
  }
  return rows.map((_, i) => Object.fromEntries(Object.entries(described).map(([name, all]) => [name, all[i] ?? all[0]])));
}
