// Sorting, filtering, and the numbers under the pointer. The page is whole without it.
"use strict";

const prefixes = {
  count: [1, 1000, ["", " k", " M", " G"]],
  rate: [1, 1000, ["/s", " k/s", " M/s", " G/s"]],
  micros: [0.001, 1000, [" ns", " µs", " ms", " s"]],
  seconds: [1, 1000, [" s"]],
  bytes: [1, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]],
  times: [1, 1000, ["×"]],
};

function tell(unit, number) {
  const [first, base, names] = prefixes[unit];
  let scaled = number / first;
  let at = 0;
  while (scaled >= base - 0.5 && at + 1 < names.length) {
    scaled /= base;
    at += 1;
  }
  if (scaled === 0) return "0" + names[at];
  const limits = [99.95, 9.995, 0.0995, 0.00995, 0];
  const decimals = limits.findIndex((limit) => scaled >= limit);
  return scaled.toFixed(decimals) + names[at];
}

function sortable(table) {
  const body = table.tBodies[0];
  const given = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, at) => {
    const cell = row.cells[at];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  // Numbers before words, and what is not there last.
  const order = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === typeof b) return a.localeCompare(b);
    return typeof a === "number" ? -1 : 1;
  };
  const sort = (head, at) => {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const now = next[head.getAttribute("aria-sort")];
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", now);
    const rows = [...given];
    const sign = now === "descending" ? -1 : 1;
    if (now !== "none") rows.sort((a, b) => sign * order(value(a, at), value(b, at)));
    body.append(...rows);
    body.classList.toggle("sorted", now !== "none");
  };
  heads.forEach((head, at) => {
    head.tabIndex = 0;
    head.setAttribute("aria-sort", "none");
    head.addEventListener("click", () => sort(head, at));
    head.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort(head, at);
    });
  });
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  const names = [...new Set(rows.map((row) => row.dataset.workload))];
  if (names.length < 2) return;
  const label = document.createElement("label");
  label.className = "filter";
  const select = document.createElement("select");
  select.append(new Option("all", ""), ...names.map((name) => new Option(name, "=" + name)));
  select.addEventListener("change", () => {
    const wanted = select.value;
    rows.forEach((row) => { row.hidden = wanted !== "" && wanted !== "=" + row.dataset.workload; });
  });
  label.append("Workload", select);
  table.closest(".scroll").before(label);
}

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;

function show(event, head, lines) {
  const line = ([color, name, text]) => {
    const row = document.createElement("div");
    const label = document.createElement("span");
    const chip = document.createElement("span");
    chip.className = "chip " + color;
    const words = document.createElement("span");
    words.textContent = name;
    label.append(...(color === "" ? [] : [chip]), words);
    const number = document.createElement("b");
    number.textContent = text;
    row.append(label, number);
    return row;
  };
  tip.replaceChildren(head, ...lines.map(line));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 14 + width > innerWidth ? event.clientX - 14 - width : event.clientX + 14;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4)) + "px";
}

// The number that stands at a part, from 0 to 1, of a scale.
function scale(spec) {
  const [least, most, kind, unit] = spec.split(" ");
  const [low, high] = [Number(least), Number(most)];
  const at = (part) => (kind === "log" ? low * (high / low) ** part : low + (high - low) * part);
  return { at, unit };
}

function points(mark) {
  if (mark.tagName === "circle") return [[mark.cx.baseVal.value, mark.cy.baseVal.value]];
  const numbers = mark.getAttribute("d").match(/[0-9.]+/g).map(Number);
  return numbers.flatMap((number, at) => (at % 2 === 0 ? [[number, numbers[at + 1]]] : []));
}

function readable(svg) {
  const group = svg.querySelector(".marks");
  if (group.dataset.kind === "bars") return;
  const [left, top, right, bottom] = group.dataset.field.split(" ").map(Number);
  const [x, y] = [scale(group.dataset.x), scale(group.dataset.y)];
  const number = (place) => y.at((bottom - place) / (bottom - top));
  const marks = [...group.querySelectorAll("[data-name]")].map((mark) => {
    const all = points(mark);
    const color = mark.getAttribute("class").replace(/^(line|area|dot) /, "");
    if (group.dataset.kind === "lines") {
      return { name: mark.dataset.name, color, at: all.map(([px, py]) => [px, number(py)]) };
    }
    // An area is its upper edge, and its lower one back again.
    const upper = all.slice(0, all.length / 2);
    const lower = all.slice(all.length / 2).reverse();
    const thick = upper.map(([px, py], at) => [px, number(py) - number(lower[at][1])]);
    return { name: mark.dataset.name, color, at: thick };
  });
  if (group.dataset.kind === "areas") marks.reverse();
  marks.forEach((mark) => {
    const steps = mark.at.slice(1).map(([px], at) => px - mark.at[at][0]);
    mark.gap = Math.max(8, ...steps);
  });
  const hair = document.createElementNS(svg.namespaceURI, "line");
  hair.setAttribute("class", "hair");
  hair.setAttribute("y1", top);
  hair.setAttribute("y2", bottom);
  // The browser's own read-out would stand in the way of ours.
  const title = svg.querySelector("title");
  svg.setAttribute("aria-label", title.textContent);
  title.remove();
  const leave = () => {
    tip.hidden = true;
    hair.remove();
  };
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    if (Math.max(left - 8 - place, place - right - 8) > 0) return leave();
    const near = (mark) => mark.at.reduce((a, b) => (Math.abs(a[0] - place) > Math.abs(b[0] - place) ? b : a));
    // A line may end before others do.
    const reaches = (mark) => mark.at.some((point) => Math.abs(point[0] - place) - 1 <= mark.gap);
    const found = marks.filter(reaches).map((mark) => [mark, near(mark)]);
    if (found.length === 0) return leave();
    const [px] = found.map(([, point]) => point).reduce((a, b) => (Math.abs(a[0] - place) > Math.abs(b[0] - place) ? b : a));
    hair.setAttribute("x1", px);
    hair.setAttribute("x2", px);
    group.append(hair);
    const lines = found.map(([mark, point]) => [mark.color, mark.name, tell(y.unit, point[1])]);
    if (group.dataset.kind === "areas") {
      lines.push(["", "together", tell(y.unit, found.reduce((sum, [, point]) => sum + point[1], 0))]);
    }
    show(event, tell(x.unit, x.at((px - left) / (right - left))), lines);
  });
}

document.body.append(tip);
document.querySelectorAll("table.figures, table.latencies").forEach(sortable);
document.querySelectorAll("table.figures").forEach(filterable);
document.querySelectorAll("svg.plot").forEach(readable);
