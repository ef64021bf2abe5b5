// Lets ALTCHA's worker reckon out the proof of work while the form is filled in. Who is faster than it waits a moment;
// where it cannot reckon, or not in time, the form goes without it, and a stricter limit holds.
const field = document.getElementById("proof");
const form = field.form;
const PATIENCE = 10_000; // milliseconds that a finished form waits at most

const solved = new Promise((done) => {
  const challenge = JSON.parse(field.dataset.challenge);
  const worker = new Worker(field.dataset.worker);
  worker.addEventListener("error", done);
  worker.addEventListener("message", ({ data: solution }) => {
    if (solution && solution.derivedKey) field.value = btoa(JSON.stringify({ challenge, solution }));
    worker.terminate();
    done();
  });
  worker.postMessage({ type: "work", challenge });
});
let isOver = false;
solved.then(() => { isOver = true; });

form.addEventListener("submit", (event) => {
  if (isOver || event.defaultPrevented || (event.submitter && event.submitter.matches("#hold button"))) return;
  event.preventDefault();
  const words = document.getElementById("proof-words");
  words.textContent = words.dataset.wait;
  Promise.race([solved, new Promise((done) => { setTimeout(done, PATIENCE); })]).then(() => form.submit());
});
