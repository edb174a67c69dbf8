// One of the parts that html.py makes one script of; see SCRIPTS there.

// What is pointed at -----------------------------------------------------------------------

const tip = $("tip");
const showTip = (event, lines) => {
  tip.replaceChildren(...lines.map(([text, className], index) => element(index ? "div" : "b", className, text)));
  tip.hidden = false;
  const width = tip.offsetWidth, height = tip.offsetHeight;
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16;
  const top = event.clientY + 16 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
};
const told = (each) => [
  [`${each.kind} of ${named(each)}`],
  [tested(each.test)],
  [`${laneName(each.worker)} · at ${seconds(each.begin)} · waited ${seconds(each.waited)} · took ${seconds(each.duration)}`],
  ...(each.transferred ? [[`${bytes(each.transferred)}${each.duration > 0 ? ` · ${bytes(Math.round(each.transferred / each.duration))}/s` : ""}`]] : []),
  ...(each.bad ? [[`${each.outcome}${each.error ? `: ${each.error}` : ""}`, "bad"]] : []),
];
const toldOfMarks = (grouped) => {
  const first = grouped.slice(0, 5).map((mark) => [`${mark.what}: ${mark.status || "no answer"} · ${mark.fault}`]);
  if (grouped.length === 1) return [[grouped[0].what], [`${grouped[0].status || "no answer"} · ${grouped[0].fault}`], [`${laneName(grouped[0].worker)} · at ${seconds(grouped[0].at)}`]];
  const kinds = MARKS.map((kind) => [grouped.filter((mark) => mark.kind === kind).length, kind]).filter(([number]) => number);
  const more = grouped.length - first.length;
  return [[kinds.map(([number, kind]) => `${count(number)} ${kind}`).join(", ")], ...first, ...(more ? [[`and ${count(more)} more`]] : [])];
};
const below = (event, canvas) => {
  const box = canvas.getBoundingClientRect();
  const width = canvas.clientWidth, place = event.clientX - box.left;
  if (place < LABEL - 5 || event.clientY - box.top < AXIS) return null;
  const top = event.clientY - box.top + frame.scrollTop;
  let best = null;
  for (const lane of lanes) {
    if (top < lane.top - LANE_GAP || top > lane.top + lane.rows * (ROW + GAP)) continue;
    const near = groups(lane, width).find((group) => Math.abs(group.place - place) < 5 && Math.abs(group.top + 3 - top) < 5);
    if (near) return { marks: near.marks };
    for (const each of lane.operations) {
      if (top < each.y || top > each.y + ROW) continue;
      if (place >= x(each.begin, width) - 3 && place <= Math.max(x(each.end, width), x(each.begin, width) + 2) + 3) best = each;
    }
  }
  return best;
};

const canvas = $("lanes");
let grip = null;
canvas.addEventListener("pointermove", (event) => {
  if (grip) {
    const moved = (grip.at - event.clientX) / (canvas.clientWidth - LABEL - RIGHT) * (grip.view[1] - grip.view[0]);
    frame.scrollTop = grip.top + grip.y - event.clientY;
    look([grip.view[0] + moved, grip.view[1] + moved]);
    return;
  }
  const found = below(event, canvas);
  hovered = found && !found.marks ? found : null;
  if (!found) tip.hidden = true;
  else if (found.marks) showTip(event, toldOfMarks(found.marks));
  else showTip(event, told(found));
  redraw();
});
canvas.addEventListener("pointerleave", () => { hovered = null; tip.hidden = true; redraw(); });
canvas.addEventListener("pointerdown", (event) => {
  grip = { at: event.clientX, y: event.clientY, top: frame.scrollTop, view: [...view] };
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("dragging");
});
const drop = () => { grip = null; canvas.classList.remove("dragging"); };
canvas.addEventListener("pointerup", drop);
canvas.addEventListener("pointercancel", drop);
canvas.addEventListener("dblclick", () => look(whole));
frame.addEventListener("scroll", () => { tip.hidden = true; redraw(); });

// What is looked at --------------------------------------------------------------------------

const look = ([from, to]) => {
  const span = Math.min(Math.max(to - from, 0.0005), whole[1] - whole[0]);
  from = Math.min(Math.max(from, whole[0]), whole[1] - span);
  view = [from, from + span];
  redraw();
};
const zoom = (factor, around) => look([around - (around - view[0]) * factor, around + (view[1] - around) * factor]);
const lookAt = (each) => {
  const margin = Math.max((each.end - each.begin) * 0.5, 0.02);
  hovered = each;
  look([each.begin - margin, each.end + margin]);
  frame.scrollTop = each.y - frameHeight() / 2;
  frame.scrollIntoView({ block: "nearest", behavior: "smooth" });
};
// A wheel alone scrolls the page, as everywhere: one must get past a tall timeline.
const wheel = (target) => target.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
  if (!event.ctrlKey && !event.metaKey) {
    const moved = (event.deltaX || event.deltaY) / target.clientWidth * (view[1] - view[0]);
    look([view[0] + moved, view[1] + moved]);
  } else zoom(1.0015 ** event.deltaY, time(event.clientX - target.getBoundingClientRect().left, target.clientWidth));
  event.preventDefault();
}, { passive: false });
wheel(canvas);
canvas.addEventListener("keydown", (event) => {
  const span = view[1] - view[0], middle = view[0] + span / 2;
  const moves = {
    "+": () => zoom(0.6, middle), "-": () => zoom(1.7, middle), "0": () => look(whole),
    ArrowLeft: () => look([view[0] - span / 5, view[1] - span / 5]),
    ArrowRight: () => look([view[0] + span / 5, view[1] + span / 5]),
  };
  if (moves[event.key]) { moves[event.key](); event.preventDefault(); }
});
$("all").addEventListener("click", () => look(whole));

// The filter --------------------------------------------------------------------------------

const choose = () => {
  const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const isMeant = (each) => $(each.kind).checked && words.every((word) => each.words.includes(word));
  shown = operations.filter((each) =>
    isMeant(each) && (!$("failed").checked || each.bad) && (!$("waited").checked || each.waited > 0));
  shownMarks = marks.filter(isMeant);
  const all = operations.length;
  $("shown").textContent = shown.length === all ? several(all, "operation")
    : `${count(shown.length)} of ${several(all, "operation")}`;
  layLanes();
  tables();
  redraw();
};
const CHIPS = [...KINDS, ...MARKS, "failed", "waited"];
for (const id of ["words", ...CHIPS]) $(id).addEventListener("input", choose);
for (const kind of MARKS) $(kind).parentElement.hidden = !marks.some((mark) => mark.kind === kind);
const undrawn = data.traffic.throttled + data.traffic.faulty - marks.length;
$("undrawn").textContent = undrawn > 0 ? `▼ for ${count(marks.length)} requests, and ${count(undrawn)} more not drawn` : "";

// The head -----------------------------------------------------------------------------------

const tile = (value, label, alert) => {
  const made = element("div", alert ? "tile alert" : "tile");
  made.append(element("b", "", value), element("span", "", label));
  $("tiles").append(made);
};
const began = data.began ? new Date(data.began * 1000).toLocaleString() : "";
document.title = ["Registry run", data.run.command, data.run.host, began].filter(Boolean).join(" · ");
$("about").textContent = [data.run.engine, data.run.address, `ready after ${seconds(data.run.start_seconds)}`,
  `${seconds(data.seconds)} of use`].filter(Boolean).join(" · ");
$("about").title = data.run.reason;
$("command").textContent = [data.run.command, data.run.host && `on ${data.run.host}`, began].filter(Boolean).join(" · ");
$("json").hidden = !$("json").getAttribute("href");
for (const each of data.figures) {
  const moved = each.transferred ? `${PLURAL[each.kind]} · ${bytes(each.transferred)}` : PLURAL[each.kind];
  tile(count(each.operations), moved);
  const isOver = each.limit !== null && each.peak > each.limit;
  tile(each.limit === null ? count(each.peak) : `${count(each.peak)} / ${count(each.limit)}`,
    `${PLURAL[each.kind]} at once, at most${isOver ? ": over the limit" : ""}`, isOver);
}
const waited = data.figures.reduce((sum, each) => sum + each.waited, 0);
tile(seconds(waited), "waited for slots, in all");
const failures = data.figures.reduce((sum, each) => sum + each.failed + each.timed_out, 0);
tile(count(failures), "operations failed", failures > 0);
if (data.traffic.requests) {
  tile(count(data.traffic.requests), `requests · ${bytes(data.traffic.bytes_in)} in, ${bytes(data.traffic.bytes_out)} out`);
  tile(count(data.traffic.throttled), "requests throttled");
  tile(count(data.traffic.faulty), "requests met faults");
}
// An axis with nothing on it would look like a fault of the page.
const isEmpty = !operations.length && !marks.length;
$("nothing").hidden = !isEmpty;
$("nothing").textContent = data.traffic.requests
  ? `No pull and no push took a slot in this run: there is nothing to draw. ${several(data.traffic.requests, "request")} reached the registry by other ways.`
  : "Nothing was asked of the registry in this run.";
for (const part of document.querySelectorAll("#filter, .drawn")) part.hidden = isEmpty;
$("tiles").hidden = isEmpty && !data.traffic.requests;
for (const part of document.querySelectorAll(".of-operations")) part.hidden = !operations.length;

const theme = (name) => { document.documentElement.dataset.theme = name; redraw(); };
const dark = matchMedia("(prefers-color-scheme: dark)");
theme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));

surface(canvas, frameHeight, drawLanes);
for (const kind of KINDS) {
  const box = element("div", "chart"), drawn = element("canvas");
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `How many ${PLURAL[kind]} ran at once over time`);
  box.append(element("h3", "", PLURAL[kind]), drawn);
  $("charts").append(box);
  surface(drawn, () => 72, drawSteps(kind));
  wheel(drawn);
  drawn.addEventListener("pointermove", (event) => {
    const at = time(event.clientX - drawn.getBoundingClientRect().left, drawn.clientWidth);
    if (at < view[0]) return;
    pointed = at;
    const lines = KINDS.map((each) => [`${count(inUse(each, at))} ${PLURAL[each]}${data.run.limits[each] === null ? "" : ` of ${count(data.run.limits[each])}`}`]);
    showTip(event, [[`at ${at.toFixed(3)} s`], ...lines]);
    redraw();
  });
  drawn.addEventListener("pointerleave", () => { pointed = null; tip.hidden = true; redraw(); });
}
addEventListener("resize", redraw);
choose();
