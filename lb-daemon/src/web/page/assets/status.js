// Keeps the page as it is now: fetches it again and takes over what has changed. Shows values of a plot under a pointer, or by arrow keys.
"use strict";

const PERIOD_MS = 2000;
const PATIENCE_MS = 5000;
const clock = document.getElementById("clock");
let renewed = Date.now();

async function renew() {
  const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error("it answers " + answer.status);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  // A part that has come or gone takes the whole content with it.
  const ids = (page) => [...page.querySelectorAll("[data-live]")].map((part) => part.id).join();
  if (ids(fresh) !== ids(document)) document.getElementById("main").replaceWith(fresh.getElementById("main"));
  else document.querySelectorAll("[data-live]").forEach((part) => take(part, fresh.getElementById(part.id)));
  document.title = fresh.title;
  renewed = Date.now();
}

function take(part, fresh) {
  if (part.isEqualNode(fresh)) return;
  for (const { name, value } of fresh.attributes) if (part.getAttribute(name) !== value) part.setAttribute(name, value);
  part.replaceChildren(...fresh.childNodes);
}

function tell(problem) {
  const seconds = Math.round((Date.now() - renewed) / 1000);
  clock.classList.toggle("stale", Boolean(problem));
  const text = problem ? `lbd cannot be asked (${problem}): what you see is ${seconds} s old` : "live";
  if (clock.textContent !== text) clock.textContent = text;
}

async function keepGoing() {
  if (!document.hidden) await renew().then(() => tell(""), (error) => tell(error.message));
  setTimeout(keepGoing, PERIOD_MS);
}

// The points of a line, as drawn.
function points(line) {
  return [...line.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) }));
}

function short(value) {
  return Number(value.toPrecision(3)).toLocaleString("en");
}

// Shows the values at a place of the plot, 0 to 1.
function readAt(figure, share) {
  const svg = figure.querySelector("svg[data-max]");
  const { left, right, top, bottom, max, from, to } = Object.fromEntries(Object.entries(svg.dataset).map(([name, value]) => [name, Number(value)]));
  const x = left + share * (right - left);
  const values = [...svg.querySelectorAll(".line")].map((line) => {
    const nearest = points(line).reduce((best, point) => (Math.abs(point.x - x) < Math.abs(best.x - x) ? point : best), { x: Infinity });
    if (!Number.isFinite(nearest.x)) return "";
    const value = short(((bottom - nearest.y) / (bottom - top)) * max);
    return `${line.dataset.name} ${value}`.trim();
  });
  const cursor = svg.querySelector(".cursor");
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  cursor.setAttribute("visibility", "visible");
  const at = new Date(from + share * (to - from)).toLocaleTimeString();
  figure.querySelector(".readout").textContent = `${at}: ${values.filter(Boolean).join(", ")}`;
}

document.addEventListener("pointermove", (event) => {
  const svg = event.target.closest?.("svg[data-max]");
  if (!svg) return;
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
  const { left, right } = svg.dataset;
  readAt(svg.closest("figure"), Math.min(1, Math.max(0, (x - left) / (right - left))));
});

document.addEventListener("keydown", (event) => {
  const figure = event.target.closest?.("figure.plot");
  const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
  if (!figure || !step) return;
  event.preventDefault();
  const before = Number(figure.dataset.at ?? 1);
  figure.dataset.at = Math.min(1, Math.max(0, before + step));
  readAt(figure, Number(figure.dataset.at));
});

keepGoing();
