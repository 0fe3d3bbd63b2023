// Faces through the last seconds: which face of a line is which of those before, and what its angles were.

import { seen } from "./pose.js";

/** Seconds that are kept. */
export const SPAN = 10;
// A face without an id goes on with one that was here not longer ago, in seconds, and overlaps it by so much.
const PATIENCE = 1;
const OVERLAP = 0.3;
// As img2poseoverlay draws them, the first for id 1.
const COLOURS = ["#ffd633", "#33d6ff", "#ff7f50", "#9be564", "#e07bff", "#40e0b0", "#ff9ecb", "#b8a6ff", "#d2b48c", "#e8ff8a"];

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return width * height / (area(a) + area(b) - width * height);
}

export class Faces {
  constructor() {
    this.clear();
  }

  clear() {
    this.known = new Map();
    this.line = null;
    this.time = 0;
    this.unnamed = 0;
  }

  /** Takes a line of img2posejson. */
  take(line) {
    const time = line.pts === null ? performance.now() / 1000 : line.pts / 1e9;
    // A seek, or a stream that begins again.
    if (this.line && (time < this.time || line.frame < this.line.frame)) this.clear();
    this.line = line;
    this.time = time;
    const keys = this.keys(line);
    line.faces.forEach((face, number) => {
      let known = this.known.get(keys[number]);
      if (!known) {
        const id = face.track?.id;
        const order = id ?? ++this.unnamed;
        known = { key: keys[number], id, name: id === undefined ? `face ${order}` : `id ${id}`, history: [] };
        known.colour = COLOURS[(order - 1) % COLOURS.length];
        this.known.set(known.key, known);
      }
      const pose = seen(line, face);
      Object.assign(known, { face, pose, number, time });
      known.history.push([time, ...pose.angles]);
    });
    for (const [key, known] of this.known) {
      const first = known.history.findIndex(([then]) => then >= time - SPAN);
      if (first < 0) this.known.delete(key);
      else known.history.splice(0, first);
    }
  }

  /** Faces of the newest line, in its order. */
  present() {
    return [...this.known.values()].filter((known) => known.time === this.time).sort((a, b) => a.number - b.number);
  }

  /** All that were seen lately, in the order in which they came. */
  all() {
    return [...this.known.values()];
  }

  keys(line) {
    const keys = line.faces.map((face) => (face.track ? `id${face.track.id}` : null));
    const before = this.all().filter((known) => known.id === undefined && known.time >= this.time - PATIENCE);
    const pairs = [];
    line.faces.forEach((face, number) => {
      if (keys[number] !== null) return;
      for (const known of before) {
        const share = overlap(face.box, known.face.box);
        if (share >= OVERLAP) pairs.push({ share, number, known });
      }
    });
    pairs.sort((a, b) => b.share - a.share);
    const taken = new Set();
    for (const { number, known } of pairs) {
      if (keys[number] !== null || taken.has(known)) continue;
      keys[number] = known.key;
      taken.add(known);
    }
    // `take` counts them in the same order.
    let next = this.unnamed;
    return keys.map((key) => key ?? `face${++next}`);
  }
}
