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
  [each.test || "outside of any test"],
  [`${each.worker} · at ${seconds(each.begin)} · waited ${seconds(each.waited)} · took ${seconds(each.duration)}`],
  ...(each.transferred ? [[`${bytes(each.transferred)}${each.duration > 0 ? ` · ${bytes(Math.round(each.transferred / each.duration))}/s` : ""}`]] : []),
  ...(each.bad ? [[`${each.outcome}${each.error ? `: ${each.error}` : ""}`, "bad"]] : []),
];
const below = (event, canvas) => {
  const box = canvas.getBoundingClientRect();
  const width = canvas.clientWidth, place = event.clientX - box.left, top = event.clientY - box.top;
  if (place < LABEL) return null;
  const visible = new Set(shown);
  let best = null;
  for (const lane of lanes) {
    for (const mark of lane.marks) {
      if (Math.abs(x(mark.at, width) - place) < 5 && Math.abs(lane.top - 4 - top) < 6) return { mark };
    }
    if (top < lane.top || top > lane.top + lane.rows * (ROW + GAP)) continue;
    for (const each of lane.operations) {
      if (top < each.y || top > each.y + ROW || !visible.has(each)) continue;
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
    look([grip.view[0] + moved, grip.view[1] + moved]);
    return;
  }
  const found = below(event, canvas);
  hovered = found && !found.mark ? found : null;
  if (!found) tip.hidden = true;
  else if (found.mark) showTip(event, [[found.mark.what], [`${found.mark.status || "no answer"} · ${found.mark.fault}`]]);
  else showTip(event, told(found));
  redraw();
});
canvas.addEventListener("pointerleave", () => { hovered = null; tip.hidden = true; redraw(); });
canvas.addEventListener("pointerdown", (event) => {
  grip = { at: event.clientX, view: [...view] };
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("dragging");
});
const drop = () => { grip = null; canvas.classList.remove("dragging"); };
canvas.addEventListener("pointerup", drop);
canvas.addEventListener("pointercancel", drop);
canvas.addEventListener("dblclick", () => look(whole));

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
  canvas.scrollIntoView({ block: "nearest", behavior: "smooth" });
};
const wheel = (target) => target.addEventListener("wheel", (event) => {
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
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

// Tables -----------------------------------------------------------------------------------

const fill = (table, columns, rows, click) => {
  if (!rows.length) {
    table.replaceChildren(element("caption", "none", "none"));
    return;
  }
  const head = element("thead"), body = element("tbody"), titles = element("tr");
  for (const column of columns) titles.append(element("th", column.number ? "number" : "", column.title));
  head.append(titles);
  for (const row of rows) {
    const line = element("tr");
    for (const column of columns) {
      const cell = element("td", column.number ? "number" : column.wide ? "wide" : "");
      if (column.dot) cell.append(element("i", `dot ${column.dot(row)}`), " ");
      cell.append(column.of(row));
      if (column.wide) cell.title = column.of(row);
      line.append(cell);
    }
    line.addEventListener("click", () => click(row));
    body.append(line);
  }
  table.replaceChildren(head, body);
};
const tables = () => {
  const slowest = [...shown].filter((each) => each.ran).sort((one, other) => other.duration - one.duration).slice(0, 30);
  fill($("slowest"), [
    { title: "operation", wide: true, of: (each) => ` ${named(each)}`, dot: (each) => (each.bad ? "bad" : each.kind) },
    { title: "worker", of: (each) => each.worker },
    { title: "took", number: true, of: (each) => seconds(each.duration) },
    { title: "waited", number: true, of: (each) => seconds(each.waited) },
    { title: "moved", number: true, of: (each) => (each.transferred ? bytes(each.transferred) : "") },
  ], slowest, lookAt);
  const tests = new Map();
  for (const each of shown) {
    const test = tests.get(each.test) ?? { test: each.test, waited: 0, count: 0 };
    test.waited += each.waited;
    test.count += 1;
    tests.set(each.test, test);
  }
  const waiters = [...tests.values()].filter((each) => each.waited > 0)
    .sort((one, other) => other.waited - one.waited).slice(0, 30);
  fill($("waiters"), [
    { title: "test", wide: true, of: (each) => each.test || "outside of any test" },
    { title: "operations", number: true, of: (each) => String(each.count) },
    { title: "waited", number: true, of: (each) => seconds(each.waited) },
  ], waiters, (each) => { $("words").value = each.test; choose(); });
};

const choose = () => {
  const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = operations.filter((each) =>
    (each.kind === "pull" ? $("pulls").checked : $("pushes").checked)
    && (!$("failed").checked || each.bad) && (!$("waited").checked || each.waited > 0)
    && words.every((word) => each.words.includes(word)));
  const all = operations.length;
  $("shown").textContent = shown.length === all ? `${all.toLocaleString("en")} operations`
    : `${shown.length.toLocaleString("en")} of ${all.toLocaleString("en")} operations`;
  tables();
  redraw();
};
for (const id of ["words", "pulls", "pushes", "failed", "waited"]) $(id).addEventListener("input", choose);

// The head -----------------------------------------------------------------------------------

const tile = (value, label, alert) => {
  const made = element("div", alert ? "tile alert" : "tile");
  made.append(element("b", "", value), element("span", "", label));
  $("tiles").append(made);
};
const began = new Date(data.began * 1000);
$("about").textContent = [data.run.engine, data.run.address, `ready after ${seconds(data.run.start_seconds)}`,
  data.began ? began.toLocaleString() : "", `${seconds(data.seconds)} of use`].filter(Boolean).join(" · ");
$("about").title = data.run.reason;
for (const each of data.figures) {
  const moved = each.transferred ? `${PLURAL[each.kind]} · ${bytes(each.transferred)}` : PLURAL[each.kind];
  tile(each.operations.toLocaleString("en"), moved);
  tile(each.limit === null ? String(each.peak) : `${each.peak} / ${each.limit}`, `${PLURAL[each.kind]} at once, at most`);
}
const waited = data.figures.reduce((sum, each) => sum + each.waited, 0);
tile(seconds(waited), "waited for slots, in all");
const failures = data.figures.reduce((sum, each) => sum + each.failed + each.timed_out, 0);
tile(String(failures), "operations failed", failures > 0);
if (data.traffic.requests) {
  tile(data.traffic.requests.toLocaleString("en"), `requests · ${bytes(data.traffic.bytes_in)} in, ${bytes(data.traffic.bytes_out)} out`);
  tile(`${data.traffic.throttled} · ${data.traffic.faulty}`, "throttled · met faults");
}

const theme = (name) => { document.documentElement.dataset.theme = name; redraw(); };
const dark = matchMedia("(prefers-color-scheme: dark)");
theme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));

surface(canvas, lanesHeight, drawLanes);
for (const kind of KINDS) {
  const box = element("div", "chart"), drawn = element("canvas");
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `How many ${PLURAL[kind]} ran at once over time`);
  box.append(element("h3", "", PLURAL[kind]), drawn);
  $("charts").append(box);
  surface(drawn, 72, drawSteps(kind));
  wheel(drawn);
  drawn.addEventListener("pointermove", (event) => {
    const at = time(event.clientX - drawn.getBoundingClientRect().left, drawn.clientWidth);
    if (at < view[0]) return;
    pointed = at;
    const lines = KINDS.map((each) => [`${inUse(each, at)} ${PLURAL[each]}${data.run.limits[each] === null ? "" : ` of ${data.run.limits[each]}`}`]);
    showTip(event, [[`at ${at.toFixed(3)} s`], ...lines]);
    redraw();
  });
  drawn.addEventListener("pointerleave", () => { pointed = null; tip.hidden = true; redraw(); });
}
addEventListener("resize", redraw);
choose();
