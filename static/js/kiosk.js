// Who walks away leaves nothing behind: after a while the kiosk asks, and then goes back to its start.
const WAIT = 45_000;
const ANSWER = 15_000;
const dialog = document.getElementById("still-there");
const start = document.getElementById("start-again");
let timer;

function wait() {
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT);
}

function ask() {
  dialog.showModal();
  timer = setTimeout(() => location.replace(start.href), ANSWER);
}

dialog.addEventListener("close", wait);
for (const name of ["keydown", "pointerdown", "input"]) {
  document.addEventListener(name, () => dialog.open || wait());
}
wait();

// Digits to touch, for a kiosk without a keyboard.
const keypad = document.getElementById("keypad");
if (keypad) {
  const code = document.getElementById("code");
  keypad.hidden = false;
  keypad.addEventListener("click", (event) => {
    const key = event.target.closest("button");
    if (key) code.value = key.value ? code.value + key.value : code.value.slice(0, -1);
  });
}
