// One of the parts that html.py makes one script of; see SCRIPTS there.

// Tables: sorted by any column, and gone through with the keyboard ---------------------------

// The end tells names apart: where there is no room the beginning gives way, by the style of `cut`.
const cut = (text) => {
  const made = element("div", "cut");
  made.append(element("bdi", "", text));
  return made;
};
const cellOf = (column, row) => {
  const cell = element("td", column.wide ? "wide" : typeof column.by(row) === "number" ? "number" : "");
  const text = column.of(row);
  if (column.wide) {
    const line = element("div", "line");
    if (column.dot) line.append(element("i", `dot ${column.dot(row)}`));
    line.append(cut(text));
    cell.append(line);
    cell.title = text;
  } else cell.append(text);
  return cell;
};
const headOf = (table) => {
  const titles = element("tr");
  table.columns.forEach((column, place) => {
    const isIt = table.column === place, cell = element("th", column.wide || column.text ? "" : "number");
    const button = element("button", "sort", `${column.title}${isIt ? (table.down ? " ▾" : " ▴") : ""}`);
    button.type = "button";
    cell.setAttribute("aria-sort", !isIt ? "none" : table.down ? "descending" : "ascending");
    button.addEventListener("click", () => {
      // Numbers are asked for from the most on, words from the first on.
      table.down = isIt ? !table.down : !(column.wide || column.text);
      table.column = place;
      fill(table, table.rows);
      $(table.id).querySelectorAll("button.sort")[place].focus();
    });
    cell.append(button);
    titles.append(cell);
  });
  const head = element("thead");
  head.append(titles);
  return head;
};
const lineOf = (table, row) => {
  const line = element("tr");
  line.append(...table.columns.map((column) => cellOf(column, row)));
  line.tabIndex = -1;
  line.addEventListener("click", () => table.click(row));
  line.addEventListener("keydown", (event) => {
    const next = { ArrowDown: line.nextSibling, ArrowUp: line.previousSibling }[event.key];
    if (next) {
      line.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") table.click(row);
    else return;
    event.preventDefault();
  });
  return line;
};
const fill = (table, rows) => {
  table.rows = rows;
  const by = table.columns[table.column].by;
  const compare = (one, other) => (typeof one === "number" ? one - other : natural(one, other));
  const sorted = [...rows].sort((one, other) => compare(by(one), by(other)) * (table.down ? -1 : 1));
  const lines = sorted.slice(0, LISTED).map((row) => lineOf(table, row));
  const more = rows.length - lines.length;
  $(`${table.id}-more`).textContent = more > 0 ? `and ${count(more)} more` : "";
  if (!lines.length) {
    $(table.id).replaceChildren(element("caption", "none", "none"));
    return;
  }
  lines[0].tabIndex = 0;
  const body = element("tbody");
  body.append(...lines);
  $(table.id).replaceChildren(headOf(table), body);
};

const slowest = {
  id: "slowest", column: 2, down: true, rows: [], click: (each) => lookAt(each),
  columns: [
    { title: "operation", wide: true, of: named, by: named, dot: (each) => (each.bad ? `${each.kind} framed` : each.kind) },
    { title: "worker", text: true, of: (each) => laneName(each.worker), by: (each) => laneName(each.worker) },
    { title: "took", of: (each) => seconds(each.duration), by: (each) => each.duration },
    { title: "waited", of: (each) => seconds(each.waited), by: (each) => each.waited },
    { title: "moved", of: (each) => (each.transferred ? bytes(each.transferred) : ""), by: (each) => each.transferred },
  ],
};
const waiters = {
  id: "waiters", column: 2, down: true, rows: [], click: (each) => { $("words").value = each.test; choose(); },
  columns: [
    { title: "test", wide: true, of: (each) => tested(each.test), by: (each) => each.test },
    { title: "operations", of: (each) => count(each.count), by: (each) => each.count },
    { title: "waited", of: (each) => seconds(each.waited), by: (each) => each.waited },
  ],
};
const tables = () => {
  fill(slowest, shown.filter((each) => each.ran));
  const tests = new Map();
  for (const each of shown) {
    const test = tests.get(each.test) ?? { test: each.test, waited: 0, count: 0 };
    test.waited += each.waited;
    test.count += 1;
    tests.set(each.test, test);
  }
  fill(waiters, [...tests.values()].filter((each) => each.waited > 0));
};
