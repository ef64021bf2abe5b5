// The agenda looks every few seconds whether anything changed, and can be worked by keyboard. Without it all works too.
const PAUSE = 4500;
const PARTS = ["agenda-count", "queue", "agenda-day", "panel"];
const agenda = document.getElementById("agenda");
const offline = document.getElementById("offline");
let { etag, beat } = agenda.dataset;
let failures = 0;

// ---- live ----

function isTyping(part) {
  const at = document.activeElement;
  const isOpen = [...part.querySelectorAll("details.queue__ticket[open]")].length > 0;
  const isChanged = [...part.querySelectorAll("input, textarea, select")].some((one) => one.matches("textarea")
    ? one.value !== one.defaultValue : one.matches("input[type=number]") && one.value !== one.defaultValue);
  return isOpen || isChanged || (part.contains(at) && at.matches("input, textarea, select"));
}

function replace(part, fresh) {
  if (part.innerHTML === fresh.innerHTML || isTyping(part)) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.id : null;
  const scroll = part.querySelector(".grid-scroll");
  const [left, top] = scroll ? [scroll.scrollLeft, scroll.scrollTop] : [0, 0];
  part.innerHTML = fresh.innerHTML;
  const again = part.querySelector(".grid-scroll");
  if (again) again.scrollTo(left, top);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// Asks for little: whether anything changed in the office. Only then the page itself is fetched.
async function feel() {
  const headers = { "If-None-Match": `"${beat}"` };
  const answer = await fetch(agenda.dataset.pulse, { headers, credentials: "omit" });
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(answer.statusText);
  await look();
}

async function look() {
  const answer = await fetch(location.href, { headers: { "If-None-Match": `"${etag}"` }, redirect: "manual" });
  if (answer.type === "opaqueredirect") return location.reload(); // signed out meanwhile
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  ({ etag, beat } = fresh.getElementById("agenda").dataset);
  for (const id of PARTS) {
    const [part, other] = [document.getElementById(id), fresh.getElementById(id)];
    if (part && other) replace(part, other);
  }
}

async function turn() {
  if (!document.hidden) {
    try {
      await feel();
      failures = 0;
    } catch {
      failures += 1;
    }
    offline.hidden = failures < 2;
  }
  setTimeout(turn, PAUSE);
}

document.addEventListener("visibilitychange", () => document.hidden || feel().catch(() => {}));
setTimeout(turn, PAUSE);

// ---- now ----

// A page that is opened in the afternoon begins in the afternoon; the queue beside it comes along.
// (scrollIntoView would also let the Tab key begin there.)
const line = document.querySelector(".now-line");
const above = () => line.getBoundingClientRect().top - innerHeight / 3;
if (line && !location.hash && above() > innerHeight / 3) {
  document.querySelector(".grid-scroll").scrollTop += above();
  scrollBy(0, above());
}

// ---- keyboard ----

const help = document.getElementById("keys");
const on = document.getElementById("keys-on");
on.checked = localStorage.getItem("agenda-keys") !== "off";
on.addEventListener("change", () => localStorage.setItem("agenda-keys", on.checked ? "on" : "off"));

const columns = () => {
  const found = new Map();
  for (const one of document.querySelectorAll("#grid .block, #grid .gap")) {
    const left = Math.round(one.getBoundingClientRect().left);
    found.set(left, [...(found.get(left) ?? []), one]);
  }
  return [...found.entries()].sort((a, b) => a[0] - b[0]).map(([, cells]) => cells);
};

const distance = (one, row) => Math.abs(Number(one.dataset.row) - row);

function move(key) {
  const cells = columns();
  if (!cells.length) return;
  const here = document.activeElement.closest?.("#grid .block, #grid .gap");
  const x = here ? cells.findIndex((column) => column.includes(here)) : -1;
  if (x < 0) return cells[0][0].focus();
  const y = cells[x].indexOf(here);
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[key];
  if (sideways) {
    const column = cells[x + sideways] ?? cells[x];
    const row = Number(here.dataset.row);
    column.reduce((best, one) => (distance(one, row) < distance(best, row) ? one : best)).focus();
  } else {
    (cells[x][y + { ArrowUp: -1, ArrowDown: 1 }[key]] ?? here).focus();
  }
}

// The step of the visit that is open, or else of the one that has the focus.
function press(step) {
  const button = document.querySelector(`#panel button[data-step="${step}"]`);
  if (button) return button.click();
  const address = document.activeElement.closest?.("[data-step]")?.dataset.step;
  const form = document.getElementById("step");
  if (address) {
    form.action = address.replace("/arrive", `/${step}`);
    form.submit();
  }
}

const KEYS = {
  n: () => document.querySelector("#next button")?.click(),
  a: () => press("arrive"),
  s: () => press("serve"),
  m: () => press("miss"),
  c: () => document.querySelector("#panel [data-cancel]")?.click(),
  w: () => {
    const walkIn = document.getElementById("walk-in");
    if (!walkIn) return;
    walkIn.open = true;
    walkIn.querySelector("select").focus();
  },
  "/": () => document.getElementById("q").focus(),
  "?": () => { help.open = !help.open; help.querySelector("summary").focus(); },
  Escape: () => document.querySelector("#panel .panel__close")?.click(),
  ArrowLeft: move, ArrowRight: move, ArrowUp: move, ArrowDown: move,
};

document.addEventListener("keydown", (event) => {
  const wanted = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const isField = event.target.matches("input, textarea, select");
  const isScrolling = event.key.startsWith("Arrow") && document.activeElement === document.body;
  if (!wanted || !on.checked || isField || isScrolling || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  wanted(event.key);
});
