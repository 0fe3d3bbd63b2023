// The heads in the space of the camera, from above and from the side. Both views have the same scale.

import { field, place } from "./pose.js";
import { fitted } from "./plot.js";

// Half axes of a head in head units: it is 1.5 wide from ear to ear.
const HEAD = [0.75, 1.05, 0.9];
const EYES = [[-0.32, -0.25, -0.8], [0.32, -0.25, -0.8]];
const NOSE = [[0, -0.2, -0.85], [0, 0.1, -1.25], [0, 0.2, -0.85]];
// Where the face looks: out of it, which is against z.
const LOOK = [0, 0, -4];
const STEPS = 24;

/** Points of an outline of the head in the plane of two of its axes. */
function ring(one, other) {
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const point = [0, 0, 0];
    point[one] = HEAD[one] * Math.cos(2 * Math.PI * step / STEPS);
    point[other] = HEAD[other] * Math.sin(2 * Math.PI * step / STEPS);
    return point;
  });
}
const RINGS = [ring(0, 1), ring(1, 2), ring(0, 2)];

export class Space {
  constructor(above, side) {
    this.views = [
      // Up is into the scene.
      { canvas: above, across: 0, to: (view, [x, , z]) => [view.width / 2 + x * view.scale, view.height - 10 - z * view.scale] },
      // To the right is into the scene, and down is down.
      { canvas: side, across: 1, to: (view, [, y, z]) => [10 + z * view.scale, view.height / 2 + y * view.scale] },
    ];
    this.clear();
  }

  clear() {
    this.depth = 0;
  }

  /** Draws the faces, each with a pose and a colour, of a line. */
  draw(line, faces) {
    const far = faces.reduce((far, face) => Math.max(far, face.pose.t[2]), 0);
    const wanted = Math.max(8, 1.3 * far);
    // Grows at once and shrinks slowly, so that heads move and not the room.
    this.depth = this.depth < wanted ? wanted : this.depth + 0.03 * (wanted - this.depth);
    const half = line ? field(line) : [0.3, 0.3];
    for (const view of this.views) {
      const { context, width, height } = fitted(view.canvas);
      Object.assign(view, { context, width, height });
      const [along, across] = view.across === 0 ? [height, width] : [width, height];
      view.scale = Math.max(0, Math.min((along - 20) / this.depth, across / 2 / (this.depth * half[view.across] + 1)));
      this.room(view, half[view.across]);
      // Those behind first.
      for (const face of [...faces].sort((a, b) => b.pose.t[2] - a.pose.t[2])) this.head(view, face);
    }
  }

  room(view, half) {
    const { context } = view;
    const at = (across, z) => view.to(view, view.across === 0 ? [across, 0, z] : [0, across, z]);
    context.lineWidth = 1;
    context.strokeStyle = "#343b46";
    context.fillStyle = "#77808d";
    context.font = "10px system-ui, sans-serif";
    const step = [1, 2, 5, 10, 20, 50, 100].find((step) => this.depth / step <= 8) ?? 200;
    for (let z = step; z <= this.depth; z += step) {
      this.path(context, [at(-half * z, z), at(half * z, z)]);
      const [x, y] = at(half * z, z);
      context.fillText(z, x + 3, y + (view.across === 0 ? 3 : 11));
    }
    context.strokeStyle = "#5a6472";
    this.path(context, [at(-half * this.depth, this.depth), at(0, 0), at(half * this.depth, this.depth)]);
    context.fillStyle = "#98a2b1";
    const [x, y] = at(0, 0);
    context.fillRect(x - 4, y - 4, 8, 8);
  }

  head(view, { pose, colour }) {
    const { context } = view;
    const on = (point) => view.to(view, place(pose.r, pose.t, point));
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1;
    for (const ring of RINGS) {
      context.beginPath();
      ring.map(on).forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.globalAlpha = 0.25;
      context.fill();
      context.globalAlpha = 0.8;
      context.stroke();
    }
    context.globalAlpha = 1;
    this.path(context, NOSE.map(on));
    for (const eye of EYES) {
      const [x, y] = on(eye);
      context.beginPath();
      context.arc(x, y, Math.max(1, 0.09 * view.scale), 0, 2 * Math.PI);
      context.fill();
    }
    context.lineWidth = 2;
    this.path(context, [on(NOSE[1]), on(LOOK)]);
  }

  path(context, points) {
    context.beginPath();
    points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  }
}
