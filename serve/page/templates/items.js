// Looking up an item: by id or title, its facts, and its nearest items by each modality's vectors.

import { get } from "./calls.js";
import { el, problem, thumb, title, told } from "./elements.js";

const $ = (id) => document.getElementById(id);
let about, add;

export function startItems(settings, addTo) {
  [about, add] = [settings, addTo];
  if (!about.items) $("words").placeholder = "id";
  $("look").addEventListener("submit", told(search));
  $("most").append(...about.sortable.map((name) => el("option", { value: name }, `most ${name}`)));
  $("most").closest("label").hidden = !about.sortable.length;
  $("most").addEventListener("change", told(browse));
  state(about.items
    ? `${about.items.toLocaleString("en")} items are described by a file.`
    : "No file describes the items, so they are known by id alone; --items of python -m serve score names one.");
}

const state = (text) => { $("found-state").textContent = text; };

function card(item, note) {
  return el("a", { href: `#items/${item.id}` }, thumb(item, { link: false }),
    el("span", { className: "name" }, el("b", {}, title(item)), el("small", {}, note ?? item.id)));
}

async function search() {
  const words = $("words").value.trim();
  if (!words) return state("Type an id, or words of a title.");
  const found = await get(`/v1/page/items?q=${encodeURIComponent(words)}`);
  const ids = found.filter((item) => item.id === words);
  if (ids.length && found.length === 1) {
    location.hash = `#items/${words}`;
    return;
  }
  state(found.length ? `${found.length} found` : `Nothing is called "${words}".`);
  $("item").replaceChildren();
  $("found").replaceChildren(...found.map((item) => card(item)));
}

// The items with the largest values of a column.
async function browse() {
  const name = $("most").value;
  if (!name) return;
  const found = await get(`/v1/page/items?most=${encodeURIComponent(name)}`);
  state(`Items with the largest ${name}, the largest first`);
  $("item").replaceChildren();
  $("found").replaceChildren(...found.map((item) => card(item, `${name} ${item.facts[name]}`)));
}

// Show one item.
export async function showItem(id) {
  if (!/^-?\d{1,19}$/.test(id)) throw new Error(`"${id}" is no id of an item.`);
  const [item] = await get(`/v1/page/items?ids=${id}`);
  const facts = Object.entries(item.facts).filter(([name]) => name !== "title");
  const known = [
    ["id", item.id],
    ...(item.trained === null ? [] : [["embedding", item.trained ? "trained" : "never trained"]]),
    ...Object.entries(item.vectors).map(([name, has]) => [`vector of ${name}`, has ? "there" : "missing"]),
    ...facts.map(([name, value]) => [name, Array.isArray(value) ? value.join(" ") : String(value)]),
  ];
  const near = Object.keys(about.modalities).map((name) => [name, el("div", { className: "cards" })]);
  $("found").replaceChildren();
  state("");
  $("item").replaceChildren(
    el("div", { className: "about card" }, thumb(item, { large: true, link: false }),
      el("div", { className: "name" }, el("h2", {}, title(item)),
        el("dl", { className: "facts" }, ...known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
        el("div", { className: "bar" },
          el("button", { type: "button", onclick: () => add("candidate", item.id) }, "Add as candidate"),
          el("button", { type: "button", onclick: () => add("history", item.id) }, "Add to history")))),
    ...near.flatMap(([name, cards]) => [el("h3", {}, `Nearest by ${name}`), cards]),
  );
  for (const [name, cards] of near) {
    if (!item.vectors[name]) cards.replaceWith(el("p", { className: "quiet" }, "It has no vector, so nothing is near."));
    else if (!about.modalities[name].searchable)
      cards.replaceWith(el("p", { className: "quiet" }, `${about.modalities[name].count.toLocaleString("en")} vectors are too many to compare on a page.`));
    else
      try {
        const found = await get(`/v1/page/nearest?modality=${encodeURIComponent(name)}&id=${id}`);
        cards.replaceChildren(...found.map((one) => card(one, `${one.cosine.toFixed(3)}${one.trained === false ? ", never trained" : ""}`)));
      } catch (error) {
        problem(error);
      }
  }
}
