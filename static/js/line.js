// Looks by itself how far the line has moved, says so politely now and then, and says when it is one's turn. The page
// is never taken away: one goes on by oneself. Without this a link looks again.
const line = document.getElementById("line");
const said = document.getElementById("line-said");
const EVERY = 60_000; // milliseconds between two things that are said
let saidAt = Date.now();

const fresh = (page) => [...page.querySelectorAll("#line [data-fresh]")];

function show(found) {
  const words = new Map(found.map((one) => [one.dataset.fresh, one.textContent]));
  const changed = fresh(document).filter((one) => one.textContent !== words.get(one.dataset.fresh));
  changed.forEach((one) => { one.textContent = words.get(one.dataset.fresh); });
  if (changed.length && Date.now() - saidAt >= EVERY) {
    saidAt = Date.now();
    said.textContent = fresh(document).slice(0, 2).map((one) => one.textContent).join(" ");
  }
}

function come() {
  const go = line.querySelector(".line__again a");
  line.querySelectorAll("[data-fresh], .quiet").forEach((one) => { one.hidden = true; });
  go.classList.replace("kern-btn--secondary", "kern-btn--primary");
  go.querySelector(".kern-label").textContent = document.getElementById("when").textContent;
  said.classList.remove("unseen");
  said.textContent = line.dataset.turn;
  document.title = `${line.dataset.turn} ${document.title}`;
}

async function look() {
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = fresh(page);
    if (found.length !== fresh(document).length) return come(); // another line, or none
    line.dataset.seconds = page.getElementById("line").dataset.seconds;
    show(found);
  } catch {
    // The network is away: the next look may find it again.
  }
  setTimeout(look, line.dataset.seconds * 1000);
}

if (line.querySelector(".line__again")) {
  document.getElementById("line-self").hidden = false;
  setTimeout(look, line.dataset.seconds * 1000);
}
