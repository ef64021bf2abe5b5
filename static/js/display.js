// The screen of the waiting room asks every few seconds who is called, chimes, speaks if asked to, and says when it
// lost the network; what it showed last stays.
const PAUSE = 3000;
const display = document.getElementById("display");
const lost = document.getElementById("lost");
const speak = document.getElementById("speak");
let etag = display.dataset.etag;
let failures = 0;
let since = null;
let sound = null;

function chime() {
  if (!sound) return;
  [660, 880].forEach((pitch, n) => {
    const [tone, volume] = [sound.createOscillator(), sound.createGain()];
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.25, sound.currentTime + n * 0.25);
    volume.gain.exponentialRampToValueAtTime(0.001, sound.currentTime + n * 0.25 + 0.6);
    tone.connect(volume).connect(sound.destination);
    tone.start(sound.currentTime + n * 0.25);
    tone.stop(sound.currentTime + n * 0.25 + 0.6);
  });
}

function announce(call) {
  chime();
  if (speak.getAttribute("aria-pressed") !== "true") return;
  const words = new SpeechSynthesisUtterance(call.dataset.say);
  words.lang = document.documentElement.lang;
  speechSynthesis.speak(words);
}

async function look() {
  const headers = { "If-None-Match": `"${etag}"` };
  const answer = await fetch(location.href, { headers, signal: AbortSignal.timeout(PAUSE * 2) });
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("display");
  const before = document.getElementById("call")?.dataset.key;
  etag = fresh.dataset.etag;
  display.innerHTML = fresh.innerHTML;
  const call = document.getElementById("call");
  if (call?.dataset.open && call.dataset.key !== before) announce(call);
}

async function turn() {
  try {
    await look();
    failures = 0;
    since = null;
  } catch {
    failures += 1;
    since ??= new Date();
  }
  lost.hidden = failures < 2;
  if (since) {
    const time = since.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    document.getElementById("lost-since").textContent = time;
  }
  setTimeout(turn, PAUSE);
}

// A browser makes a sound only after somebody has pressed something.
speak.hidden = !("speechSynthesis" in window);
speak.addEventListener("click", () => {
  sound ??= new AudioContext();
  const isOn = speak.getAttribute("aria-pressed") !== "true";
  speak.setAttribute("aria-pressed", String(isOn));
  if (isOn) chime();
});
setTimeout(turn, PAUSE);
