// The panels one at a time: a click opens them, the arrow keys go through them, Escape (the dialog's own key) returns.
const buttons = [...document.querySelectorAll("figure button")];
const viewer = document.querySelector("dialog");
const picture = viewer.querySelector("img");
const title = viewer.querySelector("p");
let current = 0;

function show(index) {
  current = (index + buttons.length) % buttons.length;
  const source = buttons[current].querySelector("img");
  picture.src = source.src;
  picture.alt = source.alt;
  title.textContent = `${current + 1} / ${buttons.length}  ${buttons[current].dataset.scene}`;
  if (!viewer.open) viewer.showModal();
}

buttons.forEach((button, index) => button.addEventListener("click", () => show(index)));
viewer.querySelector("[data-go='previous']").addEventListener("click", () => show(current - 1));
viewer.querySelector("[data-go='next']").addEventListener("click", () => show(current + 1));
viewer.querySelector("[data-go='close']").addEventListener("click", () => viewer.close());
viewer.addEventListener("close", () => buttons[current].focus());
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  show(viewer.open ? current + step : current);
});
