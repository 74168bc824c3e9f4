// Sorts, filters and groups the rows of a run's page, and draws the needs of one job.
// Texts from outside are only ever handed to textContent; nothing here parses HTML.
"use strict";
(() => {
  const { end, work, jobs } = JSON.parse(document.getElementById("data").textContent);
  const ids = Object.keys(jobs);
  const table = document.getElementById("jobs");
  const frame = document.getElementById("frame");
  const lines = document.getElementById("lines");
  const detail = document.getElementById("detail");
  const rows = new Map([...table.tBodies[0].rows].map((row) => [row.id, row]));
  const heads = [...table.tHead.querySelectorAll("th")];
  const followers = new Map(ids.map((id) => [id, []]));
  for (const id of ids) for (const need of jobs[id].needs) followers.get(need)?.push(id);

  const SVG = "http://www.w3.org/2000/svg";
  const GROUPED = 200; // more jobs than that begin grouped, if their names are of few kinds
  const order = ["failed", "running", "cancelled", "fell back", "succeeded", "skipped", "ready", "waiting", "not started"];
  const compareTexts = new Intl.Collator("en", { numeric: true }).compare;
  const count = (n) => n.toLocaleString("en-US");

  const view = { key: "start", down: false, head: null, text: "", show: "all", group: "none" };
  const open = new Set();
  let focused = ids[0];
  let pointed = null;
  let chosen = null;

  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const draw = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  function amount(seconds) {
    if (seconds === null) return "";
    if (seconds < 5e-9) return "0 s";
    for (const [unit, size, top] of [["us", 1e-6, 999.5], ["ms", 1e-3, 999.5], ["s", 1, 99.95]]) {
      const number = seconds / size;
      if (number < top) return `${number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0)} ${unit}`;
    }
    const minutes = Math.floor(Math.round(seconds) / 60);
    if (minutes < 60) return `${minutes}m ${String(Math.round(seconds) % 60).padStart(2, "0")}s`;
    const whole = Math.round(seconds / 60);
    return `${count(Math.floor(whole / 60))}h ${String(whole % 60).padStart(2, "0")}m`;
  }

  // What is shown, in which order

  const shows = {
    all: ["all", () => true],
    failed: ["failed", (job) => job.state === "failed"],
    critical: ["critical path", (job) => job.critical],
    retried: ["retried", (job) => job.tries > 1],
    replaced: ["fell back", (job) => job.state === "fell back"],
    unfinished: ["not run", (job) => job.start === null],
  };
  const groupings = { none: "nothing", kind: "name", state: "state" };

  function compare(a, b) {
    const [left, right] = [a[view.key], b[view.key]];
    if (left === right || (left === "" && right === "")) return a.place - b.place;
    if (left === null || left === "") return 1; // what is not there comes last, either way
    if (right === null || right === "") return -1;
    let found = left - right;
    if (view.key === "state") found = order.indexOf(left) - order.indexOf(right);
    else if (typeof left === "string") found = compareTexts(left, right);
    return (view.down ? -found : found) || a.place - b.place;
  }

  function together(key, members) {
    const all = members.map((id) => jobs[id]);
    const sum = (what) => all.reduce((total, job) => total + (job[what] ?? 0), 0);
    const starts = all.filter((job) => job.start !== null).map((job) => job.start);
    return {
      key, members, name: key, place: Math.min(...all.map((job) => job.place)),
      start: starts.length ? Math.min(...starts) : null,
      took: starts.length ? sum("took") : null, waiting: starts.length ? Math.max(...all.map((job) => job.waiting ?? 0)) : null,
      tries: sum("tries"), state: all.map((job) => job.state).sort(
        (a, b) => order.indexOf(a) - order.indexOf(b))[0],
      error: all.find((job) => job.error)?.error ?? "",
      failed: all.filter((job) => job.state === "failed").length,
      critical: all.some((job) => job.critical),
    };
  }

  function render() {
    const text = view.text.toLowerCase();
    const passes = shows[view.show][1];
    const visible = ids.filter((id) => {
      const job = jobs[id];
      return passes(job) && (!text || `${job.name}\n${job.error}`.toLowerCase().includes(text));
    });
    const parts = [];
    if (view.group === "none") {
      parts.push(body(visible));
    } else {
      const groups = new Map();
      for (const id of visible) {
        const key = jobs[id][view.group];
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(id);
      }
      const all = [...groups].map(([key, members]) => together(key, members)).sort(compare);
      for (const group of all) {
        parts.push(group.members.length > 1 ? groupBody(group) : body(group.members));
      }
    }
    const active = document.activeElement;
    for (const old of [...table.tBodies]) old.remove();
    table.append(...parts);
    for (const head of heads) head.removeAttribute("aria-sort");
    view.head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
    status.textContent = visible.length === ids.length ? `${count(ids.length)} jobs`
      : `${count(visible.length)} of ${count(ids.length)} jobs`;
    if (table.contains(active) && document.activeElement !== active) active.focus();
    rove(focused);
    connect();
  }

  function body(members) {
    const sorted = members.map((id) => jobs[id]).sort(compare);
    return make("tbody", {}, ...sorted.map((job) => {
      const row = rows.get(job.id);
      row.classList.remove("member");
      return row;
    }));
  }

  function groupBody(group) {
    const isOpen = open.has(group.key);
    const button = make("button", { type: "button", tabIndex: -1, title: group.name }, make("bdi", { textContent: group.name }));
    button.setAttribute("aria-expanded", String(isOpen));
    button.addEventListener("click", () => {
      if (!open.delete(group.key)) open.add(group.key);
      render();
      [...table.querySelectorAll("tr.group")].find((row) => row.key === group.key)
        ?.querySelector("button").focus();
    });
    const head = make("th", { scope: "rowgroup" }, button,
      make("span", { className: "count", textContent: `\u00d7 ${count(group.members.length)}` }));
    if (group.critical) head.append(make("span", { className: "mark", textContent: "*", title: "on the critical path" }));
    const share = group.took === null || !work ? "" : `${(100 * group.took / work).toFixed(1)} %`;
    const alike = group.members.filter((id) => jobs[id].state === group.state).length;
    const told = alike < group.members.length || group.failed ? `${count(alike)} ${group.state}` : group.state;
    const texts = [amount(group.start), amount(group.waiting), amount(group.took), share, group.tries || ""];
    const row = make("tr", { className: "group" }, head,
      make("td", { className: "chart" }, density(group.members)),
      ...texts.map((text, i) => make("td", { className: `number c${i + 2}`, textContent: text })),
      make("td", { className: `text c7${group.failed ? " bad" : ""}`, textContent: told }));
    if (heads.some((each) => each.dataset.key === "error")) row.append(make("td", { className: "text c8" }));
    row.key = group.key;
    const found = isOpen ? body(group.members) : make("tbody");
    for (const member of found.rows) member.classList.add("member");
    found.prepend(row);
    return found;
  }

  // How many jobs of a group ran at once, in each of 400 parts of the time.
  function density(members) {
    const changes = new Array(401).fill(0);
    for (const id of members) {
      const job = jobs[id];
      if (job.start === null || !end) continue;
      const first = Math.min(399, Math.floor(400 * job.start / end));
      changes[first] += 1;
      changes[Math.max(first + 1, Math.min(400, Math.ceil(400 * (job.start + job.took) / end)))] -= 1;
    }
    let running = 0;
    const heights = changes.map((change) => (running += change));
    const most = Math.max(1, ...heights);
    const path = heights.slice(0, 400).map((n, i) => `V${16 - 15 * n / most}H${i + 1}`).join("");
    const svg = draw("svg", { viewBox: "0 0 400 16", preserveAspectRatio: "none", height: 16, "aria-hidden": "true" });
    svg.append(draw("path", { d: `M0 16${path}V16z` }));
    return svg;
  }

  // The needs of a job, as lines

  const rowOf = (id) => {
    const row = rows.get(id);
    if (row?.isConnected) return row;
    return [...table.querySelectorAll("tr.group")].find((each) => each.key === jobs[id]?.[view.group]);
  };

  function connect() {
    const id = pointed ?? chosen;
    lines.replaceChildren();
    for (const row of table.querySelectorAll(".here, .needed, .chosen")) row.classList.remove("here", "needed", "chosen");
    for (const box of document.querySelectorAll("#graph a.here")) box.classList.remove("here");
    if (chosen) rows.get(chosen).classList.add("chosen");
    if (!id || !rows.get(id).isConnected) return;
    rows.get(id).classList.add("here");
    document.querySelector(`#graph a[href="#${id}"]`)?.classList.add("here");
    const around = table.getBoundingClientRect();
    lines.setAttribute("width", table.offsetWidth);
    lines.setAttribute("height", table.offsetHeight);
    const at = (id, seconds) => {
      const row = rowOf(id);
      const box = row.querySelector(".chart svg").getBoundingClientRect();
      return [box.left - around.left + box.width * (end ? seconds / end : 0), box.top - around.top + box.height / 2];
    };
    const line = (from, to, kind) => {
      const [a, b] = [jobs[from], jobs[to]];
      if (!rowOf(from) || !rowOf(to) || a.start === null || rowOf(from) === rowOf(to)) return;
      const ended = a.start + a.took;
      const [x, y] = at(from, ended);
      const [toX, toY] = at(to, b.start === null ? ended : Math.max(ended, b.start - (b.waiting ?? 0)));
      lines.append(draw("path", { class: kind, d: `M${x} ${y}V${toY}H${toX}` }), draw("circle", { cx: x, cy: y, r: 2.5 }));
      if (kind === "before") rowOf(from).classList.add("needed");
    };
    for (const need of jobs[id].needs) if (jobs[need]) line(need, id, "before");
    for (const follower of followers.get(id)) line(id, follower, "after");
  }

  // The chosen job

  function choose(id) {
    chosen = id;
    detail.hidden = !id;
    detail.replaceChildren();
    connect();
    if (!id) return;
    const job = jobs[id];
    const list = make("dl");
    const tell = (term, ...told) => list.append(make("dt", { textContent: term }), make("dd", {}, ...told));
    const names = (members) => members.filter((each) => jobs[each]).map((each) => {
      const button = make("button", { type: "button" }, make("bdi", { textContent: jobs[each].name }));
      button.addEventListener("click", () => reveal(each));
      return button;
    });
    const times = job.start === null ? "" : `, ${amount(job.start)} to ${amount(job.start + job.took)}: `
      + `${amount(job.took)}, after ${amount(job.waiting)} of waiting`;
    tell("State", job.state + times + (job.critical ? ", on the critical path" : ""));
    job.attempts.forEach(([start, stop, error], i) => {
      const times = `${amount(start)} to ${stop === null ? "now" : amount(stop)}`;
      tell(`Attempt ${i + 1}`, times, error ? make("pre", { className: "bad", textContent: error }) : "");
    });
    if (job.needs.length) tell("Needs", ...names(job.needs));
    if (followers.get(id).length) tell("Needed by", ...names(followers.get(id).slice(0, 100)));
    if (job.error) tell("Error", make("pre", { className: "bad", textContent: job.error }));
    const close = make("button", { type: "button", className: "close plain", textContent: "Close" });
    close.addEventListener("click", dismiss);
    detail.append(make("h3", {}, make("bdi", { textContent: job.name })), close, list);
    const covered = rows.get(id).getBoundingClientRect().bottom + 30 - detail.getBoundingClientRect().top;
    if (rows.get(id).isConnected && covered > 0) scrollBy(0, covered);
  }

  function dismiss() {
    const last = chosen;
    choose(null);
    if (last) buttonOf(last)?.focus();
  }

  function reveal(id) {
    if (!rows.get(id).isConnected) {
      Object.assign(view, { text: "", show: "all" });
      search.value = "";
      radios.get("all").checked = true;
      open.add(jobs[id][view.group]);
      render();
    }
    choose(id);
    const button = buttonOf(id);
    button.scrollIntoView({ block: "center" });
    button.focus({ preventScroll: true });
  }

  // Keyboard: one stop for Tab, arrows from row to row

  const buttonOf = (id) => rows.get(id)?.querySelector("button");
  const buttons = () => [...table.querySelectorAll("tbody th button")];

  function rove(id) {
    const all = buttons();
    const stop = all.find((each) => each === document.activeElement) ?? all.find((each) => each === buttonOf(id)) ?? all[0];
    for (const each of all) each.tabIndex = each === stop ? 0 : -1;
  }

  table.addEventListener("keydown", (event) => {
    const all = buttons();
    const at = all.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1, PageDown: at + 20, PageUp: at - 20 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, to))].focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen) dismiss();
  });
  table.addEventListener("focusin", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row) return;
    focused = row.id;
    pointed = row.id || null;
    for (const each of table.querySelectorAll('tbody th button[tabindex="0"]')) each.tabIndex = -1;
    event.target.tabIndex = 0;
    connect();
  });
  const forget = () => { pointed = null; connect(); };
  table.addEventListener("focusout", forget);
  table.addEventListener("pointerover", (event) => {
    const id = event.target.closest("tbody tr")?.id || null;
    if (id === pointed) return;
    pointed = id;
    connect();
  });
  table.addEventListener("pointerleave", forget);
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (row?.id && !String(getSelection())) choose(chosen === row.id ? null : row.id);
  });
  document.getElementById("graph")?.addEventListener("click", (event) => {
    const id = event.target.closest("a")?.getAttribute("href").slice(1);
    if (!id) return;
    event.preventDefault();
    reveal(id);
  });
  addEventListener("resize", connect);

  // The controls

  const byStart = heads.find((head) => head.hasAttribute("aria-sort"));
  view.head = byStart;
  for (const head of heads) {
    const button = make("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("number") && head !== byStart; // the longest on top
      if (view.head !== head) Object.assign(view, { key: head.dataset.key, head, down: first });
      else if (view.down === first || head === byStart) view.down = !view.down;
      else Object.assign(view, { key: "start", head: byStart, down: false }); // the third time
      render();
    });
  }
  for (const id of ids) jobs[id].id = id;

  const search = make("input", { type: "search", autocomplete: "off", spellcheck: false });
  search.addEventListener("input", () => { view.text = search.value; render(); });
  const kinds = make("fieldset", {});
  kinds.setAttribute("aria-label", "Which jobs");
  const radios = new Map();
  for (const [key, [title, passes]] of Object.entries(shows)) {
    const n = ids.filter((id) => passes(jobs[id])).length;
    if (!n && key !== "all") continue;
    const radio = make("input", { type: "radio", name: "show", checked: key === "all" });
    radio.addEventListener("change", () => { view.show = key; render(); });
    radios.set(key, radio);
    kinds.append(make("label", {}, radio, make("span", { textContent: `${title} ${count(n)}` })));
  }
  const groupBy = make("select", {}, ...Object.entries(groupings).map(([value, textContent]) => make("option", { value, textContent })));
  groupBy.addEventListener("change", () => { view.group = groupBy.value; open.clear(); render(); });
  const status = make("output", {});
  const controls = document.getElementById("controls");
  controls.append(make("label", {}, "Find", search), kinds, make("label", {}, "Group by", groupBy), status);
  controls.hidden = !ids.length;

  const kindsOfNames = new Set(ids.map((id) => jobs[id].kind)).size;
  if (ids.length > GROUPED && kindsOfNames < ids.length / 4) view.group = groupBy.value = "kind";
  if (ids.length) render();
  if (jobs[location.hash.slice(1)]) reveal(location.hash.slice(1));
})();
