// Small plots of one angle over the last seconds.

import { SPAN } from "./faces.js";

/** Fits a canvas to the pixels that it has on the screen; its context then draws in CSS pixels. */
export function fitted(canvas) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// Degrees at the upper and lower edge: the least of these that has room.
const RANGES = [15, 30, 45, 90, 180];
// A longer pause between two points is a gap, in seconds.
const GAP = 1;

/**
 * Plots column `column` of `history`, whose rows are times in seconds and degrees, up to the time `now`. Up is positive.
 */
export function plot(canvas, history, column, now, colour) {
  const { context, width, height } = fitted(canvas);
  if (width === 0) return;
  const most = history.reduce((most, row) => Math.max(most, Math.abs(row[column])), 0);
  const range = RANGES.find((range) => most <= range) ?? 180;
  const x = (time) => width * (1 - (now - time) / SPAN);
  const y = (degrees) => height / 2 - (height / 2 - 2) * degrees / range;
  context.lineWidth = 1;
  context.strokeStyle = "#343b46";
  context.beginPath();
  context.moveTo(0, y(0));
  context.lineTo(width, y(0));
  for (let second = Math.ceil(now - SPAN); second <= now; second++) {
    context.moveTo(x(second), y(0) - 2);
    context.lineTo(x(second), y(0) + 2);
  }
  context.stroke();
  context.fillStyle = "#77808d";
  context.font = "9px system-ui, sans-serif";
  context.fillText(`${range}°`, 1, 9);
  context.fillText(`-${range}°`, 1, height - 2);
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  let before = null;
  for (const row of history) {
    const near = before && row[0] - before[0] < GAP && Math.abs(row[column] - before[column]) < 180;
    if (near) context.lineTo(x(row[0]), y(row[column]));
    else context.moveTo(x(row[0]), y(row[column]));
    before = row;
  }
  context.stroke();
  if (!before) return;
  context.beginPath();
  context.arc(Math.min(x(before[0]), width - 2), y(before[column]), 2, 0, 2 * Math.PI);
  context.fill();
}
