// Traffic: rates and quantiles between two looks at counters that only grow; looks stop while the tab is hidden.

import { get } from "./calls.js";
import { el } from "./elements.js";

const EVERY_MS = 2000;
const MOST_LOOKS = 90, MINUTE = 30; // looks
const $ = (id) => document.getElementById(id);
const looks = [];
const text = (seconds) => (seconds === null ? "-" : seconds < 1 ? `${(1000 * seconds).toFixed(1)} ms` : `${seconds.toFixed(2)} s`);

// The q-quantile of what came between two histograms, linear within a bin; null where nothing came.
export function quantile(bounds, before, after, q) {
  const counts = after.map((count, i) => count - (before[i] ?? 0));
  const all = counts[counts.length - 1];
  if (!(all > 0)) return null;
  const bin = counts.findIndex((count) => count >= q * all);
  const low = bin ? bounds[bin - 1] : 0, below = bin ? counts[bin - 1] : 0;
  if (bounds[bin] === null) return low;
  return low + ((bounds[bin] - low) * (q * all - below)) / (counts[bin] - below);
}

const total = (look) => look.counts[look.counts.length - 1] ?? 0;

// Requests a second between two looks; a scorer that started anew counts from 0.
const rate = (now, before) => Math.max(total(now) - total(before), 0) / Math.max((now.at - before.at) / 1000, 0.001);

const number = (name, id) => el("div", { className: "card" }, el("span", { className: "quiet" }, name), el("b", { id }, "-"));

// Args: ``ready`` is called after the first look, ``swapped`` where another version scores than at the look before.
export function startTraffic(ready, swapped) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  line.setAttribute("viewBox", "0 0 100 100");
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("class", "line");
  line.setAttribute("role", "img");
  line.setAttribute("aria-label", "requests a second over the last three minutes");
  line.append(document.createElementNS(line.namespaceURI, "polyline"));
  $("traffic").replaceChildren(
    el("div", { className: "numbers" }, number("requests/s", "rate"), number("p50 of a minute", "p50"), number("p99 of a minute", "p99"),
      number("waiting", "waiting"), number("version", "version"), number("swaps", "swaps"), number("refused versions", "refused")),
    el("div", { className: "card" }, el("h3", {}, "Scored requests a second"), line, el("p", { className: "quiet", id: "peak" }, "\u00a0")),
    el("div", { className: "two" },
      el("div", { className: "card" }, el("h3", {}, "Answers by status"), el("div", { className: "scroll", id: "statuses" })),
      el("div", { className: "card" }, el("h3", {}, "Slow requests"), el("div", { className: "scroll", id: "slow" }))),
  );
  const look = async () => {
    if (!document.hidden) {
      try {
        looks.push({ ...(await get("/v1/page/traffic")), at: performance.now() });
        if (looks.length > MOST_LOOKS) looks.shift();
        show();
        const [before, now] = looks.slice(-2).map((one) => one.numbers.version);
        if (now !== undefined && now !== before) await swapped();
      } catch {
        $("now-rate").textContent = "no answer";
      }
    }
    ready?.();
    ready = null;
    setTimeout(look, EVERY_MS);
  };
  return look();
}

function table(head, rows, empty) {
  if (!rows.length) return el("p", { className: "quiet" }, empty);
  const cells = (tag, row) => el("tr", {}, ...row.map((cell) => el(tag, {}, String(cell))));
  return el("table", {}, el("thead", {}, cells("th", head)), el("tbody", {}, ...rows.map((row) => cells("td", row))));
}

function show() {
  const now = looks[looks.length - 1], before = looks[looks.length - 2] ?? now;
  const minute = looks[Math.max(looks.length - 1 - MINUTE, 0)];
  const [p50, p99] = [0.5, 0.99].map((q) => quantile(now.bounds, minute.counts, now.counts, q));
  const { version = 0, oldest_version: oldest = version, waiting = 0, version_swaps: swaps = 0, version_refusals: refused = 0 } = now.numbers;
  const versions = oldest === version ? String(version) : `${oldest} and ${version}`;
  const shown = { rate: rate(now, before).toFixed(1), p50: text(p50), p99: text(p99), waiting, version: versions, swaps, refused };
  for (const [id, value] of Object.entries(shown)) {
    $(id).textContent = value;
    if ($(`now-${id}`)) $(`now-${id}`).textContent = value;
  }
  const line = looks.map((one, i) => (i ? rate(one, looks[i - 1]) : 0)).slice(1);
  const most = Math.max(...line, 1);
  const points = line.map((value, i) => `${(100 * (MOST_LOOKS - line.length + i)) / (MOST_LOOKS - 1)},${98 - (95 * value) / most}`);
  document.querySelector("#traffic polyline").setAttribute("points", points.join(" "));
  $("peak").textContent = `at most ${most.toFixed(0)}; the last ${(EVERY_MS * MOST_LOOKS) / 60000} minutes while this tab is seen`;
  $("statuses").replaceChildren(table(["status", "answers"], Object.entries(now.statuses).sort(), "None yet."));
  const slow = now.slow.map((one) => [one.slow_request, one.ms, one.waited_ms, one.candidates, one.version]).reverse();
  $("slow").replaceChildren(table(["time", "ms", "waited ms", "candidates", "version"], slow, "None in this process; --slow-ms says from when one is."));
}
