// Why a candidate got its score: tiers, the closest of the history, and what each input adds to the logit.

import { el, meter, signed, thumb, title } from "./elements.js";

const MOST_NEAR = 8;

function tiers(counts) {
  const most = Math.max(...counts, 1);
  const bars = counts.map((count, tier) => {
    const [low, high] = [tier, tier + 1].map((edge) => (-1 + (2 * edge) / counts.length).toFixed(2));
    const bar = el("i", { title: `cosine ${low} to ${high}: ${count}` });
    bar.style.height = `${(100 * count) / most}%`;
    return bar;
  });
  return [
    el("div", { className: "tiers", role: "img", ariaLabel: `counts of the history by tier, from unlike to like: ${counts.join(" ")}` }, ...bars),
    el("div", { className: "axis" }, el("span", {}, "\u22121 unlike"), el("span", {}, `at most ${most} in a tier`), el("span", {}, "alike 1")),
  ];
}

function closest(cosines, history) {
  const shift = history.length - cosines.length; // of the history the newest are read
  const pairs = cosines.map((cosine, i) => [cosine, history[i + shift]]).filter(([cosine, item]) => cosine !== null && item);
  if (!pairs.length) return [el("p", { className: "quiet" }, "No pair has two vectors.")];
  pairs.sort((a, b) => b[0] - a[0]);
  const rows = pairs.slice(0, MOST_NEAR).map(([cosine, item]) =>
    el("div", {}, thumb(item), el("span", { className: "text" }, title(item)), meter(cosine), el("span", { className: "number" }, cosine.toFixed(3))));
  return [el("div", { className: "near" }, ...rows)];
}

function parts(answer, i) {
  const added = Object.entries(answer.without).map(([name, logits]) => [name, answer.logits[i] - logits[i]]);
  const most = Math.max(...added.map(([, change]) => Math.abs(change)), 0.1);
  const rows = added.flatMap(([name, change]) => {
    const bar = el("i", { className: change < 0 ? "less" : "" });
    const width = (50 * Math.abs(change)) / most;
    bar.style.width = `${width}%`;
    bar.style.left = `${change < 0 ? 50 - width : 50}%`;
    return [el("span", {}, name), el("span", { className: "both" }, bar), el("span", { className: "number" }, signed(change))];
  });
  return el("div", { className: "parts" }, ...rows);
}

// The panel of candidate ``i``.
//   answer   of /v1/page/explain
//   history  modality -> items of the candidate's history, oldest first
export function why(answer, i, history) {
  const panels = [
    el("div", {}, el("h3", {}, "What the logit loses without"), parts(answer, i),
      ...Object.entries(answer.make).map(([name, logits]) =>
        el("p", { className: "quiet" }, `MAKE of ${name} alone says a logit of ${signed(logits[i])}.`))),
  ];
  for (const [name, cosines] of Object.entries(answer.cosines)) {
    if (answer.tiers[name])
      panels.push(el("div", {}, el("h3", {}, `SimTier's tiers of ${name}`), ...tiers(answer.tiers[name][i])));
    panels.push(el("div", {}, el("h3", {}, `Closest in the history by ${name}`), ...closest(cosines[i], history[name] ?? [])));
  }
  return el("div", { className: "why" }, ...panels);
}
