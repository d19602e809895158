// The panels one at a time: a click opens them; the arrow keys, Home, End and a swipe go through them; Escape (the
// dialog's own key) returns to the page. And the wipes between a panel with and without the LoRA.
const figures = [...document.querySelectorAll(".panel")];
const viewer = document.querySelector("dialog");
const picture = viewer.querySelector("img");
let current = 0;

function show(index) {
  current = (index + figures.length) % figures.length;
  const figure = figures[current];
  const source = figure.querySelector("img");
  picture.src = source.src;
  picture.alt = source.alt;
  viewer.querySelector(".where").textContent = `${current + 1} / ${figures.length}`;
  viewer.querySelector(".scene").textContent = figure.querySelector(".scene").textContent;
  viewer.querySelector(".words").textContent = figure.querySelector(".prompt").textContent;
  if (!viewer.open) viewer.showModal();
}

figures.forEach((figure, index) => figure.querySelector("button").addEventListener("click", () => show(index)));
viewer.querySelector("[data-go='previous']").addEventListener("click", () => show(current - 1));
viewer.querySelector("[data-go='next']").addEventListener("click", () => show(current + 1));
viewer.querySelector("[data-go='close']").addEventListener("click", () => viewer.close());
viewer.addEventListener("close", () => figures[current].querySelector("button").focus());

document.addEventListener("keydown", (event) => {
  const last = figures.length - 1;
  const opened = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: last };
  const closed = { ArrowLeft: current, ArrowRight: current };
  const target = (viewer.open ? opened : closed)[event.key];
  const elsewhere = event.target.closest("input, pre");
  if (target === undefined || elsewhere || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(target);
});

let touched = null;
picture.addEventListener("pointerdown", (event) => { touched = event.clientX; });
picture.addEventListener("pointerup", (event) => {
  const moved = touched === null ? 0 : event.clientX - touched;
  touched = null;
  if (Math.abs(moved) > 40) show(moved < 0 ? current + 1 : current - 1);
});

for (const wipe of document.querySelectorAll(".wipe")) {
  const slider = wipe.querySelector("input");
  slider.addEventListener("input", () => wipe.style.setProperty("--at", slider.value / 100));
}
