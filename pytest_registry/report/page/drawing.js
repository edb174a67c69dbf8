// One of the parts that html.py makes one script of; see SCRIPTS there.

// Drawing ----------------------------------------------------------------------------------

const canvases = [];
const surface = (canvas, height, draw) => canvases.push({ canvas, height, draw });
const x = (time, width) => LABEL + ((time - view[0]) / (view[1] - view[0])) * (width - LABEL - RIGHT);
const time = (place, width) => view[0] + ((place - LABEL) / (width - LABEL - RIGHT)) * (view[1] - view[0]);

const frame = $("timeline");
const frameHeight = () => Math.min(lanesHeight, Math.max(200, Math.min(560, Math.round(innerHeight * 0.6))));

let asked = false;
const redraw = () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    frame.style.height = `${frameHeight()}px`;
    $("rest").style.height = `${lanesHeight - frameHeight()}px`;
    const colour = Object.fromEntries(
      ["card", "ink", "quiet", "line", "hair", "pull", "push", "wait", "bad", ...MARKS].map((name) => [name, css(`--${name}`)]));
    for (const { canvas, height: wanted, draw } of canvases) {
      const height = wanted();
      canvas.style.height = `${height}px`;
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

// The timeline: as much of it as its frame shows, below an axis that stays ---------------------

const drawOperation = (pen, each, width, colour) => {
  const left = x(each.begin, width), middle = x(each.run, width), right = x(each.end, width);
  if (middle - left > 0.5) bar(pen, left, each.y + ROW / 2 - 2, middle, 4, colour.wait);
  if (each.ran) bar(pen, middle, each.y, right, ROW, colour[each.kind]);
  if (each.bad) {
    pen.strokeStyle = pen.fillStyle = colour.bad;
    pen.lineWidth = 2;
    if (each.ran) pen.strokeRect(middle + 1, each.y + 1, Math.max(right - middle - 2, 1), ROW - 2);
    else pen.fillRect(right - 2, each.y, 3, ROW);
  }
  const start = Math.max(middle, LABEL), room = Math.min(right, width - RIGHT) - start;
  if (room > 60 && each.ran) {
    pen.fillStyle = colour.card;
    pen.textAlign = "left";
    pen.fillText(shortened(each, Math.floor((room - 12) / 6)), start + 6, each.y + ROW / 2 + 0.5, room - 10);
  }
};

// Marks that would cover each other are one: of both colours where both kinds are in it.
const groups = (lane, width) => {
  const found = new Map();
  for (const mark of lane.marks) {
    if (mark.at < view[0] || mark.at > view[1]) continue;
    const column = Math.round(x(mark.at, width) / 8);
    if (!found.has(column)) found.set(column, { place: x(mark.at, width), top: lane.top - 6, marks: [] });
    found.get(column).marks.push(mark);
  }
  return [...found.values()];
};
const drawMarks = (pen, { place, top, marks: grouped }, colour) => {
  const kinds = MARKS.filter((kind) => grouped.some((mark) => mark.kind === kind));
  kinds.forEach((kind, side) => {
    const from = side ? place : place - 4, to = kinds.length > 1 && !side ? place : place + 4;
    pen.fillStyle = colour[kind];
    pen.beginPath();
    pen.moveTo(from, top);
    pen.lineTo(to, top);
    pen.lineTo(place, top + 6);
    pen.fill();
  });
};

const drawLaneNames = (pen, width, colour) => {
  pen.textAlign = "left";
  for (const lane of lanes) {
    pen.strokeStyle = colour.line;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(0, lane.top - LANE_GAP / 2 + 0.5);
    pen.lineTo(width, lane.top - LANE_GAP / 2 + 0.5);
    pen.stroke();
    pen.fillStyle = lane.worker ? colour.ink : colour.quiet;
    pen.fillText(laneName(lane.worker), 2, lane.top + ROW / 2, LABEL - 12);
  }
};

const drawLanes = (pen, width, height, colour) => {
  ticks(pen, width, height, colour, true);
  const top = frame.scrollTop;
  pen.save();
  pen.beginPath();
  pen.rect(0, AXIS, width, height - AXIS);
  pen.clip();
  pen.translate(0, -top);
  drawLaneNames(pen, width, colour);
  pen.beginPath();
  pen.rect(LABEL - 5, top, width - LABEL + 5, height); // 5: half of a mark at the very beginning
  pen.clip();
  for (const each of shown) {
    const isSeen = each.end >= view[0] && each.begin <= view[1] && each.y + ROW >= top && each.y <= top + height;
    if (isSeen) drawOperation(pen, each, width, colour);
  }
  for (const lane of lanes) for (const group of groups(lane, width)) drawMarks(pen, group, colour);
  if (hovered && shown.includes(hovered)) {
    pen.strokeStyle = colour.ink;
    pen.lineWidth = 1.5;
    const left = x(hovered.begin, width);
    pen.strokeRect(left - 1, hovered.y - 1.5, Math.max(x(hovered.end, width) - left, 2) + 2, ROW + 3);
  }
  pen.restore();
  if (!lanes.length) {
    pen.fillStyle = colour.quiet;
    pen.textAlign = "left";
    pen.fillText("The filter leaves nothing.", LABEL, AXIS + 20);
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
    pen.fillText(`limit ${count(limit)}`, 2, Math.max(6, y(limit)));
  }
  pen.fillStyle = colour.quiet;
  // Where there is room beside the limit's own words.
  const isFree = (place) => limit === null || Math.abs(place - y(limit)) > 15;
  if (isFree(y(0) - 4)) pen.fillText("0", 2, y(0) - 4);
  if (peak && isFree(y(peak)) && y(0) - y(peak) > 15) pen.fillText(`most ${count(peak)}`, 2, Math.max(6, y(peak)));
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
