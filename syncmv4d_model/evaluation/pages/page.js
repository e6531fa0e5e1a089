"use strict";
// Sorts the table of sequences by a heading, shows the rows whose words hold what is searched, averages what is shown; plays videos.

/** What a cell is sorted by: its number, its words, or null where there is nothing. */
function keyOf(row, column) {
  const cell = row.cells[column];
  if (cell.classList.contains("missing")) return null;
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
}

/** Rows without a value stay last in both directions; equal ones keep their order. */
function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const direction = headings[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
  headings.forEach((heading) => heading.setAttribute("aria-sort", "none"));
  headings[column].setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [keyOf(row, column), row]);
  keyed.sort(([a], [b]) => compare(a, b, direction));
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function meanOf(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The last line: each column's mean over the rows that are shown and have a value; a ratio is that of its parts' means. */
function average(table, shown) {
  for (const cell of table.tFoot.rows[0].cells) {
    if (cell.dataset.of === undefined) continue;
    const columns = cell.dataset.of.split(" ").map(Number);
    const keys = shown.map((row) => columns.map((column) => keyOf(row, column))).filter((parts) => !parts.includes(null));
    const means = columns.map((_, part) => meanOf(keys.map((parts) => parts[part])));
    const mean = means.length === 2 ? means[0] / means[1] : means[0];
    cell.textContent = keys.length ? String(Number(mean.toPrecision(4))) : "–";
  }
}

function search(table, words, output) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    const text = row.dataset.words.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden);
  average(table, shown);
  output.textContent = `${shown.length} of ${rows.length} sequences`;
}

/** A link into the table (from a dot of a chart) must not lead to a row that the search hides. */
function reveal(table, input) {
  const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!row || !table.contains(row) || !row.hidden) return;
  input.value = "";
  input.dispatchEvent(new Event("input"));
  row.scrollIntoView({ block: "center" });
}

for (const place of document.querySelectorAll(".sequences")) {
  const table = place.querySelector("table");
  const tools = place.previousElementSibling;
  const input = tools.querySelector("input[type=search]");
  tools.hidden = false;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
  input.addEventListener("input", () => search(table, input.value, tools.querySelector("output")));
  tools.querySelector("input[type=checkbox]").addEventListener("change", (event) => {
    table.classList.toggle("all", event.target.checked);
  });
  addEventListener("hashchange", () => reveal(table, input));
  search(table, input.value, tools.querySelector("output"));
}

const icon = (path) => `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="${path}"/></svg>`;
const PLAY = icon("M4 2 L14 8 L4 14 Z");
const PAUSE = icon("M3 2 H7 V14 H3 Z M9 2 H13 V14 H9 Z");
const FULL = icon("M1 6 V1 H6 V3 H3 V6 Z M10 1 H15 V6 H13 V3 H10 Z M15 10 V15 H10 V13 H13 V10 Z M6 15 H1 V10 H3 V13 H6 Z");

/** A slider below the picture instead of the browser's controls, which would cover its lowest view. */
function control(figure, video) {
  const bar = document.createElement("div");
  bar.className = "player";
  bar.innerHTML =
    '<button type="button" aria-label="play or pause"></button><input type="range" min="0" step="0.01" value="0" aria-label="time">' +
    `<output></output><button type="button" aria-label="full screen" title="full screen">${FULL}</button>`;
  const [play, slider, time, full] = bar.children;
  const toggle = () => (video.paused ? video.play() : video.pause());
  const show = () => {
    slider.max = video.duration || 0;
    slider.value = video.currentTime;
    time.textContent = `${video.currentTime.toFixed(2)} s`;
    play.innerHTML = video.paused ? PLAY : PAUSE;
  };
  for (const name of ["loadedmetadata", "timeupdate", "play", "pause", "seeked"]) video.addEventListener(name, show);
  play.addEventListener("click", toggle);
  video.addEventListener("click", toggle);
  full.addEventListener("click", () => video.requestFullscreen());
  slider.addEventListener("input", () => {
    video.pause();
    video.currentTime = Number(slider.value);
  });
  video.controls = false;
  figure.append(bar);
  show();
}

for (const figure of document.querySelectorAll("figure.film")) control(figure, figure.querySelector("video"));

if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
  for (const video of document.querySelectorAll("video")) {
    video.autoplay = false;
    video.pause();
  }
}
