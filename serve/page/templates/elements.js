// Elements of the page. What comes from outside becomes text, and never markup.

import { picture } from "./calls.js";

// An element with properties and children; strings become text.
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const title = (item) => String(item.facts.title ?? `item ${item.id}`);

// A box of fixed size with an item's picture, or its id where there is none.
export function thumb(item, { large = false, link = true } = {}) {
  const properties = { className: large ? "thumb large" : "thumb", title: `${title(item)} (${item.id})` };
  const box = link ? el("a", { ...properties, href: `#items/${item.id}` }) : el("span", properties);
  if (item.picture) {
    const image = el("img", { alt: title(item) });
    picture(item.id).then((address) => { image.src = address; box.append(image); }, () => box.append(item.id));
  } else box.append(item.id);
  return box;
}

// A bar of a share between 0 and 1.
export function meter(share) {
  const inner = el("i");
  inner.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  return el("span", { className: "meter" }, inner);
}

export function problem(error) {
  const box = document.getElementById("problem");
  box.textContent = error ? error.message : "";
  box.hidden = !error;
}

// Run what an event asks for, and say what went wrong.
export const told = (work) => async (event) => {
  event?.preventDefault?.();
  problem(null);
  try {
    await work(event);
  } catch (error) {
    problem(error);
  }
};

export const signed = (number) => (number < 0 ? "\u2212" : "+") + Math.abs(number).toFixed(3);
