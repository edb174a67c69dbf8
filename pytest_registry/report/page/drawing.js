// One of the parts that html.py makes one script of; see SCRIPTS there.

// Drawing ----------------------------------------------------------------------------------

const canvases = [];
const surface = (canvas, height, draw) => {
  const one = { canvas, height, draw };
  canvases.push(one);
  canvas.style.height = `${height}px`;
  return one;
};
const x = (time, width) => LABEL + ((time - view[0]) / (view[1] - view[0])) * (width - LABEL - RIGHT);
const time = (place, width) => view[0] + ((place - LABEL) / (width - LABEL - RIGHT)) * (view[1] - view[0]);

let asked = false;
const redraw = () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const colour = Object.fromEntries(
      ["card", "ink", "quiet", "line", "hair", "pull", "push", "wait", "bad", "mark"].map((name) => [name, css(`--${name}`)]));
    for (const { canvas, height, draw } of canvases) {
      const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.font = "11px system-ui, sans-serif";
      pen.textBaseline = "middle";
      draw(pen, width, height, colour);
    }
    $("all").hidden = view[0] === whole[0] && view[1] === whole[1];
  });
};

const ticks = (pen, width, height, colour, label) => {
  const span = view[1] - view[0], about = span / Math.max(2, (width - LABEL) / 110);
  const power = 10 ** Math.floor(Math.log10(about));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= about);
  pen.strokeStyle = colour.hair;
  pen.fillStyle = colour.quiet;
  pen.textAlign = "center";
  pen.lineWidth = 1;
  for (let at = Math.ceil(view[0] / step) * step; at <= view[1]; at += step) {
    const place = Math.round(x(at, width)) + 0.5;
    pen.beginPath();
    pen.moveTo(place, label ? AXIS - 6 : 0);
    pen.lineTo(place, height);
    pen.stroke();
    if (label) pen.fillText(step < 1 ? `${at.toFixed(Math.ceil(-Math.log10(step)))} s` : `${Math.round(at)} s`, place, 8);
  }
};

const bar = (pen, left, top, right, height, colour) => {
  const width = Math.max(right - left, 1.5);
  pen.fillStyle = colour;
  if (width < 4) pen.fillRect(left, top, width, height);
  else {
    pen.beginPath();
    pen.roundRect(left, top, width, height, 3);
    pen.fill();
  }
};

const drawLanes = (pen, width, height, colour) => {
  ticks(pen, width, height, colour, true);
  const visible = new Set(shown);
  for (const lane of lanes) {
    pen.strokeStyle = colour.line;
    pen.beginPath();
    pen.moveTo(0, lane.top - LANE_GAP / 2 + 0.5);
    pen.lineTo(width, lane.top - LANE_GAP / 2 + 0.5);
    pen.stroke();
    pen.fillStyle = colour.ink;
    pen.textAlign = "left";
    pen.fillText(lane.worker, 2, lane.top + ROW / 2, LABEL - 12);
  }
  pen.save();
  pen.beginPath();
  pen.rect(LABEL, 0, width - LABEL, height);
  pen.clip();
  for (const each of operations) {
    if (each.end < view[0] || each.begin > view[1]) continue;
    pen.globalAlpha = visible.has(each) ? 1 : 0.1;
    const left = x(each.begin, width), middle = x(each.run, width), right = x(each.end, width);
    if (middle - left > 0.5) bar(pen, left, each.y + ROW / 2 - 2, middle, 4, colour.wait);
    if (each.ran) bar(pen, middle, each.y, right, ROW, colour[each.kind]);
    if (each.bad) {
      pen.strokeStyle = pen.fillStyle = colour.bad;
      pen.lineWidth = 2;
      if (each.ran) pen.strokeRect(middle + 1, each.y + 1, Math.max(right - middle - 2, 1), ROW - 2);
      else pen.fillRect(right - 2, each.y, 3, ROW);
    }
    const room = right - middle;
    if (room > 60 && each.ran && visible.has(each)) {
      pen.fillStyle = colour.card;
      pen.textAlign = "left";
      const text = named(each), fits = Math.floor((room - 12) / 6);
      pen.fillText(text.length > fits ? `${text.slice(0, Math.max(1, fits - 1))}…` : text, Math.max(middle, LABEL) + 6, each.y + ROW / 2 + 0.5);
    }
  }
  pen.globalAlpha = 1;
  for (const lane of lanes) {
    pen.fillStyle = colour.mark;
    for (const mark of lane.marks) {
      const place = x(mark.at, width), top = lane.top - 7;
      pen.beginPath();
      pen.moveTo(place - 4, top);
      pen.lineTo(place + 4, top);
      pen.lineTo(place, top + 6);
      pen.fill();
    }
  }
  if (hovered && hovered.y !== undefined) {
    pen.strokeStyle = colour.ink;
    pen.lineWidth = 1.5;
    const left = x(hovered.begin, width);
    pen.strokeRect(left - 1, hovered.y - 1.5, Math.max(x(hovered.end, width) - left, 2) + 2, ROW + 3);
  }
  pen.restore();
  if (!operations.length) {
    pen.fillStyle = colour.quiet;
    pen.textAlign = "left";
    pen.fillText("No pull and no push took a slot in this run.", LABEL, AXIS + 20);
  }
};

// Slots in use ----------------------------------------------------------------------------

let pointed = null;
const drawSteps = (kind) => (pen, width, height, colour) => {
  ticks(pen, width, height, colour, false);
  const limit = data.run.limits[kind];
  const peak = steps[kind].reduce((most, step) => Math.max(most, step[1]), 0);
  const top = Math.max(limit ?? 0, peak, 1) * 1.15;
  const y = (count) => height - 2 - (count / top) * (height - 8);
  pen.save();
  pen.beginPath();
  pen.rect(LABEL, 0, width - LABEL, height);
  pen.clip();
  pen.beginPath();
  pen.moveTo(LABEL, y(0));
  // No more than one point for each half pixel: the highest there counts.
  let last = inUse(kind, view[0]), column = null, most = last;
  pen.lineTo(LABEL, y(last));
  for (const [at, count] of steps[kind]) {
    if (at < view[0]) continue;
    if (at > view[1]) break;
    const place = Math.round(x(at, width) * 2) / 2;
    if (place !== column) {
      pen.lineTo(place, y(last));
      column = place;
      most = count;
    }
    most = Math.max(most, count);
    pen.lineTo(place, y(most));
    pen.lineTo(place, y(count));
    last = count;
  }
  pen.lineTo(width - RIGHT, y(last));
  pen.lineTo(width - RIGHT, y(0));
  pen.closePath();
  pen.fillStyle = pen.strokeStyle = colour[kind];
  pen.globalAlpha = 0.18;
  pen.fill();
  pen.globalAlpha = 1;
  pen.lineWidth = 1.5;
  pen.stroke();
  pen.restore();
  pen.textAlign = "left";
  if (limit !== null) {
    pen.strokeStyle = colour.bad;
    pen.setLineDash([5, 4]);
    pen.beginPath();
    pen.moveTo(LABEL, y(limit));
    pen.lineTo(width - RIGHT, y(limit));
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colour.bad;
    pen.fillText(`limit ${limit}`, 2, y(limit));
  }
  pen.fillStyle = colour.quiet;
  // Where there is room beside the limit's own words.
  const isFree = (place) => limit === null || Math.abs(place - y(limit)) > 11;
  if (isFree(y(0) - 4)) pen.fillText("0", 2, y(0) - 4);
  if (peak && isFree(y(peak)) && y(0) - y(peak) > 15) pen.fillText(`most ${peak}`, 2, Math.max(6, y(peak)));
  if (pointed !== null && pointed >= view[0] && pointed <= view[1]) {
    const place = Math.round(x(pointed, width)) + 0.5;
    pen.strokeStyle = colour.quiet;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(place, 0);
    pen.lineTo(place, height);
    pen.stroke();
  }
};
