// Calls of the scorer: JSON in which integers of 64 bits stay whole, a token where one is wanted, errors in its own words.

const TOKEN = "tierwise-token";

// JSON of plain values and BigInts.
export function encode(value) {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(encode).join(",")}]`;
  if (value !== null && typeof value === "object")
    return `{${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}:${encode(one)}`).join(",")}}`;
  return JSON.stringify(value);
}

// Two calls that are both refused ask for one token.
let asking = null;

function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("ask");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, document.getElementById("token").value.trim());
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

async function call(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The scorer does not answer; is it still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return call(path, options);
  }
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    throw new Error(said.error ?? `The scorer answered with status ${response.status}.`);
  }
  return response;
}

export const get = async (path) => (await call(path)).json();

export const post = async (path, value) =>
  (await call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: encode(value) })).json();

const pictures = new Map();

// The address of an item's picture in this tab's memory; each is fetched once.
export function picture(id) {
  if (!pictures.has(id))
    pictures.set(id, call(`/v1/page/picture?id=${id}`).then((r) => r.blob()).then((blob) => URL.createObjectURL(blob)));
  return pictures.get(id);
}

const known = new Map();

// Facts of items by id, in one call for those that are not known yet.
export async function describe(ids) {
  const wanted = [...new Set(ids)].filter((id) => !known.has(id));
  for (let start = 0; start < wanted.length; start += 100) {
    const found = await get(`/v1/page/items?ids=${wanted.slice(start, start + 100).join(",")}`);
    for (const item of found) known.set(item.id, item);
  }
  return ids.map((id) => known.get(id));
}
