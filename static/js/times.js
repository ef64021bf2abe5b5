// Arrows go from one free time to the next; Tab and Enter do it without this.
const times = [...document.querySelectorAll("#free-times button")];

document.getElementById("free-times").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const at = times.indexOf(document.activeElement);
  if (!step || at < 0) return;
  event.preventDefault();
  times[Math.min(Math.max(at + step, 0), times.length - 1)].focus();
});
