// One of the parts that html.py makes one script of; see SCRIPTS there.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const KINDS = ["pull", "push"];
const PLURAL = { pull: "pulls", push: "pushes" };
const MARKS = ["throttled", "faulty"];
const ROW = 14, GAP = 3, LANE_GAP = 12, LABEL = 96, AXIS = 24, RIGHT = 10, LISTED = 30;
const whole = [0, Math.max(data.seconds, 0.001) * 1.01];

// Words and numbers ------------------------------------------------------------------------

const count = (value) => value.toLocaleString("en");
const seconds = (value) =>
  value >= 100 ? `${count(Math.round(value))} s` : value >= 1 ? `${value.toFixed(1)} s`
    : value >= 0.001 ? `${Math.round(value * 1000)} ms` : value > 0 ? "< 1 ms" : "0 s";
const bytes = (value) => {
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (value < 1000 || unit === "TB") return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
};
const reference = (text) => (!text ? "" : text.includes(":") ? `@${text.slice(0, 19)}…` : `:${text}`);
const named = (each) => (each.repository ? each.repository + reference(each.reference) : `a ${each.kind}`);
const laneName = (worker) => worker || "other clients";
const tested = (name) => name || "outside of any test";
const several = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
// Names of one run begin alike: what gives way is the path, then what says little, then the middle.
const shortened = (each, most) => {
  const image = each.repository.slice(each.repository.lastIndexOf("/") + 1) || named(each);
  const tail = image + (each.repository ? reference(each.reference) : "");
  const fits = [named(each), `…/${tail}`, tail, image].find((text) => text.length <= most);
  if (fits) return fits;
  const kept = Math.max(most - 1, 1), end = Math.ceil(kept * 0.65);
  return `${image.slice(0, kept - end)}…${image.slice(-end)}`;
};
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// What there is, and what of it is shown ----------------------------------------------------

const operations = data.operations.map((each, index) => ({
  ...each, index,
  begin: each.start, run: each.start + each.waited, end: each.start + each.waited + each.duration,
  ran: each.outcome === "done" || each.outcome === "failed",
  bad: each.outcome !== "done",
  words: `${each.test} ${named(each)} ${laneName(each.worker)} ${each.kind} ${each.outcome}`.toLowerCase(),
}));
const marks = data.marks.map((each) => ({
  ...each,
  kind: each.throttled ? "throttled" : "faulty",
  words: `${each.what} ${laneName(each.worker)} ${each.status} ${each.fault}`.toLowerCase(),
}));
let view = [...whole];
let shown = operations, shownMarks = marks;
let hovered = null;

// Lanes: each worker's operations in rows in which nothing overlaps -------------------------

const natural = new Intl.Collator("en", { numeric: true }).compare;
let lanes = [], lanesHeight = AXIS + 40;
const rowsOf = (lane) => {
  const ends = [];
  for (const each of lane.operations) {
    let row = ends.findIndex((end) => end <= each.begin);
    if (row < 0) row = ends.length;
    ends[row] = each.end;
    each.row = row;
  }
  return Math.max(1, ends.length);
};
const layLanes = () => {
  const byWorker = new Map();
  const laneOf = ({ worker }) => {
    if (!byWorker.has(worker)) byWorker.set(worker, { worker, operations: [], marks: [] });
    return byWorker.get(worker);
  };
  for (const each of shown) laneOf(each).operations.push(each);
  for (const each of shownMarks) laneOf(each).marks.push(each);
  // Clients that are no worker's stand below the workers.
  lanes = [...byWorker.values()].sort((one, other) => !one.worker - !other.worker || natural(one.worker, other.worker));
  let bottom = AXIS;
  for (const lane of lanes) {
    lane.rows = rowsOf(lane);
    lane.top = bottom + LANE_GAP / 2;
    bottom = lane.top + lane.rows * (ROW + GAP) + LANE_GAP / 2;
    for (const each of lane.operations) each.y = lane.top + each.row * (ROW + GAP);
  }
  lanesHeight = Math.max(bottom, AXIS + 40);
};

// Slots in use: the steps of all operations of a kind ---------------------------------------

const steps = Object.fromEntries(KINDS.map((kind) => {
  const changes = operations.filter((each) => each.kind === kind && each.ran)
    // Rounded to 10 us, so that of one that ends as another begins the end comes first.
    .flatMap((each) => [[Math.round(each.run * 1e5) / 1e5, 1], [Math.round(each.end * 1e5) / 1e5, -1]])
    .sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  let number = 0;
  return [kind, changes.map(([at, change]) => [at, (number += change)])];
}));
const inUse = (kind, at) => {
  const list = steps[kind];
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle][0] <= at) low = middle + 1; else high = middle;
  }
  return low ? list[low - 1][1] : 0;
};
