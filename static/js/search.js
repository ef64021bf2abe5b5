// Shows the first services that a search would find while it is typed; Enter searches as without this.
const form = document.querySelector("form.search");
const field = document.getElementById("q");
const list = document.getElementById("suggestions");
const said = document.getElementById("suggested");
const MOST = 5;
const LEAST_LETTERS = 3;
const PAUSE = 300; // milliseconds without a key before the server is asked
let timer;
let turn = 0; // an answer that is overtaken is not shown

function show(links, words) {
  list.replaceChildren(...links.map((link) => {
    const row = document.createElement("li");
    const way = document.createElement("a");
    way.href = link.getAttribute("href");
    way.textContent = link.textContent;
    row.append(way);
    return row;
  }));
  list.hidden = !links.length;
  said.textContent = words;
}

async function look() {
  const mine = ++turn;
  if (field.value.trim().length < LEAST_LETTERS) return show([], "");
  try {
    const answer = await fetch(`${form.action}?${new URLSearchParams(new FormData(form))}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector(".found");
    if (mine !== turn || !found) return;
    show([...page.querySelectorAll(".choices a")].slice(0, MOST), found.textContent);
  } catch {
    show([], ""); // the network is away: Enter will say so
  }
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE);
});
