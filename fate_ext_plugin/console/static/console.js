/* Live parts, charts and copy buttons. All pages work without it. */
"use strict";

/* -- charts, drawn by uPlot from what stands in data-chart; the same figures are in a table below each -------------- */

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function shown(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "percent") return numbers.format(value) + " %";
  if (unit !== "seconds") return numbers.format(value);
  if (value < 60) return numbers.format(value) + " s";
  const minutes = Math.floor(value / 60);
  return minutes < 60 ? minutes + " min" : Math.floor(minutes / 60) + " h " + String(minutes % 60).padStart(2, "0") + " min";
}

function draw(place) {
  const chart = JSON.parse(place.dataset.chart);
  if (place.plot) place.plot.destroy();
  place.textContent = "";
  const some = chart.series.some(one => one.values.some(value => value));
  const style = getComputedStyle(document.documentElement);
  const color = name => style.getPropertyValue(name).trim();
  const stacked = chart.series.map(() => null);
  if (chart.kind === "bars") {
    const below = chart.times.map(() => 0);
    chart.series.forEach((one, number) => {
      if (!one.percent) stacked[number] = one.values.map((value, at) => (below[at] += value || 0));
    });
  }
  // What stands on top is drawn first, those below over it.
  const order = chart.series.map((_, number) => number).sort((a, b) =>
    chart.series[a].percent - chart.series[b].percent || (chart.kind === "bars" ? b - a : a - b));
  const short = time => chart.span === "hour" || chart.span === "day" ? time.slice(11) : time.slice(5, 10);
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false },
                 font: "11px system-ui, sans-serif" };
  const readout = place.parentNode.querySelector(".readout");
  const percent = chart.series.some(one => one.percent);
  place.plot = new uPlot({
    width: Math.max(place.clientWidth, 200), height: 180, legend: { show: false }, padding: [10, percent ? 4 : 12, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false, setScale: false } },
    scales: {
      x: { time: false, range: (_, low, high) => [low - 0.6, high + 0.6] },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
      percent: { range: [0, 100] },
    },
    axes: [
      { ...axis, grid: { show: false }, incrs: [1, 2, 3, 4, 5, 6, 8, 12, 15, 24], space: 46, size: 26,
        values: (_, splits) => splits.map(at => Number.isInteger(at) && chart.times[at] ? short(chart.times[at]) : "") },
      { ...axis, size: 54, space: 34, incrs: chart.unit === "count" ? [1, 2, 5].flatMap((_, i, all) =>
          Array.from({ length: 13 }, (_, power) => all[i] * 10 ** power)).sort((a, b) => a - b) : undefined,
        values: (_, splits) => splits.map(value => chart.unit === "seconds" ? shown(value, "seconds") : compact.format(value)) },
      ...(percent ? [{ ...axis, side: 1, scale: "percent", size: 44, grid: { show: false }, splits: () => [0, 50, 100],
        values: (_, splits) => splits.map(value => value + " %") }] : []),
    ],
    series: [{}, ...order.map(number => {
      const one = chart.series[number], ink = color("--c-" + one.color);
      return chart.kind === "bars" && !one.percent
        ? { fill: ink, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.72, 34], radius: 0 }) }
        : { stroke: ink, width: 2, scale: one.percent ? "percent" : "y", points: { show: true, size: 5, fill: ink, width: 0 } };
    })],
    hooks: { setCursor: [plot => {
      const at = plot.cursor.idx;
      readout.textContent = at === null || at === undefined ? "\u00a0" : chart.times[at] + "  " + chart.series
        .filter(one => one.values[at] !== null && (one.values[at] || one.percent))
        .map(one => one.name + " " + shown(one.values[at], one.percent ? "percent" : chart.unit)).join(" · ");
    }] },
  }, [chart.times.map((_, at) => at), ...order.map(number => stacked[number] || chart.series[number].values)], place);
  if (!some) {
    const none = document.createElement("p");
    none.className = "none";
    none.textContent = place.dataset.empty;
    place.append(none);
  }
}

function drawAll() {
  if (typeof uPlot !== "undefined") document.querySelectorAll("[data-chart]").forEach(draw);
}

/* -- live parts: the page itself is asked for again, and what changed is put in place -------------------------------- */

function replaced(old, fresh) {
  const opened = [...old.querySelectorAll("details[open][id]")].map(one => one.id);
  const focus = old.contains(document.activeElement) ? document.activeElement : null;
  const focused = focus && (focus.id ? "#" + CSS.escape(focus.id) : focus.getAttribute("href") &&
    `[href="${CSS.escape(focus.getAttribute("href"))}"]`);
  old.replaceWith(fresh);
  opened.forEach(id => { const one = document.getElementById(id); if (one) one.open = true; });
  const again = focused && fresh.querySelector(focused);
  if (again) again.focus({ preventScroll: true });
}

/* A form that is being filled in, or a question that waits for its answer, stays. */
function busy(part) {
  return part.querySelector("details.confirm[open]") !== null;
}

async function lookAgain(part) {
  const status = document.querySelector("[data-live-status]");
  try {
    const response = await fetch(location.href.split("#")[0], { headers: { "Fate-Ext-Poll": "1" }, credentials: "same-origin" });
    if (response.status === 401) { location.reload(); return null; }
    if (!response.ok) throw new Error(response.status);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById(part.id);
    status.classList.remove("lost");
    const text = fresh.querySelector("[data-live-text]");
    if (text && status.textContent !== text.textContent) status.textContent = text.textContent;
    else if (!text) status.textContent = "";
    // Compared as the server sent them: what scripts drew is no change.
    if (fresh.outerHTML === part.sent || busy(part)) return part;
    fresh.sent = fresh.outerHTML;
    replaced(part, fresh);
    if (fresh.querySelector("[data-chart]")) drawAll();
    return fresh;
  } catch (error) {
    status.textContent = part.dataset.lost;
    status.classList.add("lost");
    return part;
  }
}

function live(part) {
  const seconds = Number(part.dataset.live);
  if (!seconds) return;
  setTimeout(async () => {
    const next = document.hidden ? part : await lookAgain(part);
    if (next) live(next);
  }, seconds * 1000);
}

/* -- copy buttons --------------------------------------------------------------------------------------------------- */

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(source.value);
  } else {  // without https
    source.select();
    document.execCommand("copy");
  }
  const label = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = label; }, 2000);
}

/* Before charts are drawn into it. */
document.querySelectorAll("[data-live]").forEach(part => { part.sent = part.outerHTML; live(part); });
document.querySelectorAll("[data-copy]").forEach(button => {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
});
document.addEventListener("toggle", event => {
  if (event.target.matches("details.confirm[open]")) {
    document.querySelectorAll("details.confirm[open]").forEach(one => { if (one !== event.target) one.open = false; });
  }
}, true);
document.addEventListener("keydown", event => {
  if (event.key === "Escape") document.querySelectorAll("details.confirm[open]").forEach(one => {
    one.open = false;
    one.querySelector("summary").focus();
  });
});
addEventListener("load", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawAll, 150); });
