// Says politely when the time that is kept for the form is nearly over, and extends it without leaving the page.
// Without it the end stands there as a clock time and the button sends the form.
const form = document.querySelector("form.details");
const WARNINGS = [5, 1]; // minutes before the end
let timers = [];

function say(words) {
  document.getElementById("hold-words").textContent = words;
}

function watch() {
  timers.forEach(clearTimeout);
  const { seconds, over, soon } = document.getElementById("hold").dataset;
  if (Number(seconds) <= 0) return;
  const inSeconds = (wait, then) => { if (wait > 0) timers.push(setTimeout(then, wait * 1000)); };
  timers = [];
  for (const minutes of WARNINGS) {
    inSeconds(seconds - minutes * 60, () => say(JSON.parse(soon)[minutes]));
  }
  inSeconds(Number(seconds), () => say(over));
}

form.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!button || !button.matches("#hold button")) return;
  event.preventDefault();
  try {
    const answer = await fetch(button.formAction, { method: "POST", body: new FormData(form) });
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("hold");
    if (!fresh) throw new Error(answer.statusText);
    document.getElementById("hold").dataset.seconds = fresh.dataset.seconds;
    say(fresh.querySelector("#hold-words").textContent);
    watch();
  } catch {
    form.action = button.formAction; // somebody has the time, or the network is away: the page says what to do
    form.submit();
  }
});

watch();
