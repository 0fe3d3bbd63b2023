// The page: listens to /events, shows /picture, and draws what there is.

import { Faces } from "./faces.js";
import { plot } from "./plot.js";
import { Space } from "./space.js";

const at = (id) => document.getElementById(id);
// More would be slower than anybody reads.
const CARDS = 24;
const ANGLES = ["yaw", "pitch", "roll"];
const WORDS = { waiting: "waiting for the source", running: "running", ended: "the stream has ended", failed: "failed" };

const faces = new Faces();
const space = new Space(at("above"), at("side"));
const cards = new Map();
let events = null;
let connected = false;
let status = { state: "waiting", source: "", number: 0, message: "" };
let lost = 0;
let pictures = 0;
let drawing = false;

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const { line } = faces;
    at("frame").textContent = line ? line.frame : "-";
    at("count").textContent = line ? line.faces.length : "-";
    if (line) document.body.dataset.frame = line.frame;
    else delete document.body.dataset.frame;
    space.draw(line, faces.present());
    drawCards();
  });
}

function drawCards() {
  const all = faces.all();
  // Those that are here first; else as they came, so that cards stay where they are.
  const shown = [...all].sort((a, b) => (b.time === faces.time) - (a.time === faces.time)).slice(0, CARDS);
  const keys = new Set(shown.map((known) => known.key));
  for (const [key, card] of cards) {
    if (keys.has(key)) continue;
    card.remove();
    cards.delete(key);
  }
  for (const known of all) {
    if (keys.has(known.key)) drawCard(known);
  }
  const left = all.length - shown.length;
  at("more").hidden = left === 0;
  at("more").textContent = `and ${left} more`;
}

function drawCard(known) {
  let card = cards.get(known.key);
  if (!card) {
    card = at("card").content.firstElementChild.cloneNode(true);
    card.dataset.key = known.key;
    card.querySelector(".name").textContent = known.name;
    card.querySelector(".swatch").style.background = known.colour;
    cards.set(known.key, card);
    at("faces").append(card);
  }
  const here = known.time === faces.time;
  card.classList.toggle("gone", !here);
  const percent = Math.round(100 * known.face.confidence);
  const number = known.id === undefined ? `#${known.number} in the picture, ` : "";
  card.querySelector(".about").textContent = here ? `${number}${percent} %, ${known.pose.t[2].toFixed(1)} away` : "not here now";
  ANGLES.forEach((angle, index) => {
    const row = card.querySelector(`.${angle}`);
    row.querySelector("output").textContent = `${known.pose.angles[index].toFixed(1).replace(/^-0\.0$/, "0.0")}°`;
    const colour = getComputedStyle(document.documentElement).getPropertyValue(`--${angle}`);
    plot(row.querySelector("canvas"), known.history, index + 1, faces.time, colour);
  });
}

function say() {
  document.body.dataset.state = connected ? status.state : "lost";
  at("source").textContent = status.source;
  at("state").textContent = connected ? WORDS[status.state] : "no connection";
  const parts = [];
  if (status.message) parts.push(status.message);
  if (!connected && events) parts.push("img2pose run has ended, or the connection to it is lost; this page goes on when it is back.");
  if (lost) parts.push(`${lost} lines were left out here: the connection or this browser is too slow for all of them.`);
  at("message").textContent = parts.join(" ");
  at("message").hidden = parts.length === 0;
}

function numbers(figures) {
  at("speed").textContent = figures.frames_per_second.toFixed(1);
  const milliseconds = (value) => (value === null ? "-" : value.toFixed(0));
  at("latency").textContent = `${milliseconds(figures.latency_ms)} / ${milliseconds(figures.latency_95_ms)} ms`;
  at("fill").textContent = figures.batch_fill === null ? "-" : `${figures.batch_fill.toFixed(1)} of ${figures.batch_size}`;
}

function connect() {
  events = new EventSource("/events");
  events.addEventListener("open", () => {
    // What was missed comes again, all of it.
    faces.clear();
    connected = true;
    lost = 0;
    at("picture").src = `/picture?${++pictures}`;
    say();
  });
  events.addEventListener("error", () => {
    connected = false;
    say();
    // The browser tries again by itself, unless it was told that there is nothing.
    if (events?.readyState === EventSource.CLOSED) {
      disconnect();
      setTimeout(() => { if (!events && !document.hidden) connect(); }, 1000);
    }
  });
  events.addEventListener("status", ({ data }) => {
    const next = JSON.parse(data);
    if (next.number !== status.number) {
      faces.clear();
      space.clear();
    }
    status = next;
    say();
    draw();
  });
  events.addEventListener("line", ({ data }) => {
    faces.take(JSON.parse(data));
    draw();
  });
  events.addEventListener("numbers", ({ data }) => numbers(JSON.parse(data)));
  events.addEventListener("lost", ({ data }) => {
    lost += Number(data);
    say();
  });
}

function disconnect() {
  events?.close();
  events = null;
  connected = false;
}

// A tab that nobody sees takes no pictures: browsers open six connections to a server, and a page has two.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    disconnect();
    at("picture").removeAttribute("src");
  } else if (!events) {
    connect();
  }
});
// Also when the picture, which has come, moves them.
const sizes = new ResizeObserver(draw);
for (const id of ["above", "side", "faces"]) sizes.observe(at(id));
if (!document.hidden) connect();
draw();
