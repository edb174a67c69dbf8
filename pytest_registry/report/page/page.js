"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const operations = data.operations.map((each, index) => ({
    ...each, index,
    begin: each.start, run: each.start + each.waited, end: each.start + each.waited + each.duration,
    ran: each.outcome === "done" || each.outcome === "failed",
    bad: each.outcome !== "done",
    words: `${each.test} ${each.repository} ${each.reference} ${each.worker} ${each.kind} ${each.outcome}`.toLowerCase(),
  }));
  const KINDS = ["pull", "push"];
  const PLURAL = { pull: "pulls", push: "pushes" };
  const ROW = 14, GAP = 3, LANE_GAP = 12, LABEL = 96, AXIS = 24, RIGHT = 10;
  const whole = [0, Math.max(data.seconds, 0.001) * 1.01];
  let view = [...whole];
  let shown = operations;
  let hovered = null;

  // Words and numbers ------------------------------------------------------------------------

  const seconds = (value) =>
    value >= 100 ? `${Math.round(value)} s` : value >= 1 ? `${value.toFixed(1)} s`
      : value >= 0.001 ? `${Math.round(value * 1000)} ms` : value > 0 ? "< 1 ms" : "0 s";
  const bytes = (value) => {
    for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
      if (value < 1000 || unit === "TB") return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
      value /= 1000;
    }
  };
  const named = (each) => (each.repository ? each.repository + reference(each.reference) : `a ${each.kind}`);
  const reference = (text) => (!text ? "" : text.includes(":") ? `@${text.slice(0, 19)}…` : `:${text}`);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Lanes: each worker's operations in rows in which nothing overlaps -------------------------

  const natural = new Intl.Collator("en", { numeric: true }).compare;
  const lanes = [...new Set(operations.map((each) => each.worker))].sort(natural)
    .map((worker) => ({ worker, operations: operations.filter((each) => each.worker === worker) }));
  for (const lane of lanes) {
    const ends = [];
    for (const each of lane.operations) {
      let row = ends.findIndex((end) => end <= each.begin);
      if (row < 0) row = ends.length;
      ends[row] = each.end;
      each.row = row;
    }
    lane.rows = Math.max(1, ends.length);
    lane.marks = data.marks.filter((mark) => mark.worker === lane.worker
      || (mark.worker === "main" && lane.worker === "controller"));
  }
  let bottom = AXIS;
  for (const lane of lanes) {
    lane.top = bottom + LANE_GAP / 2;
    bottom = lane.top + lane.rows * (ROW + GAP) + LANE_GAP / 2;
    for (const each of lane.operations) each.y = lane.top + each.row * (ROW + GAP);
  }
  const lanesHeight = Math.max(bottom, AXIS + 40);

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

  // Slots in use: the steps of all operations of a kind ---------------------------------------

  const steps = Object.fromEntries(KINDS.map((kind) => {
    const changes = operations.filter((each) => each.kind === kind && each.ran)
      // Rounded to 10 us, so that of one that ends as another begins the end comes first.
      .flatMap((each) => [[Math.round(each.run * 1e5) / 1e5, 1], [Math.round(each.end * 1e5) / 1e5, -1]])
      .sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    let count = 0;
    return [kind, changes.map(([at, change]) => [at, (count += change)])];
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
    pen.fillText("0", 2, y(0) - 4);
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
})();
