// Which seed each panel gets. The radio buttons hold the choice; a variant shown keeps the seeds chosen in another.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const variant = () => document.querySelector("[name=variant]:checked").value;
const groups = () => all(".candidates").filter((group) => group.dataset.variant === variant());
const chosen = (group) => group.querySelector("input:checked");

function summarise() {
  const picked = groups().map(chosen).filter(Boolean);
  const mean = picked.reduce((sum, input) => sum + Number(input.dataset.score), 0) / picked.length;
  document.querySelector("[data-show=mean]").textContent = picked.length ? mean.toFixed(3) : "–";
  document.querySelector("[data-show=changed]").textContent = picked.filter((i) => !("now" in i.dataset)).length;
}

function take(mark) {
  groups().forEach((group) => all("input", group).filter((input) => mark in input.dataset).forEach((input) => (input.checked = true)));
  summarise();
}

function save() {
  const seeds = {};
  groups().forEach((group) => {
    const input = chosen(group);
    if (input) seeds[group.closest("section").dataset.panel] = Number(input.value);
  });
  const { story, base } = document.body.dataset;
  const text = JSON.stringify({ format: 1, story, base, variant: variant(), seeds }, null, 2) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "picks.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

all("[name=variant]").forEach((input) => input.addEventListener("change", () => {
  all(".candidates").forEach((group) => {
    const before = all(".candidates", group.parentElement).find((other) => !other.hidden && other !== group);
    const shown = group.dataset.variant === variant();
    if (shown && before) {
      const seed = chosen(before)?.value;
      all("input", group).filter((one) => one.value === seed).forEach((one) => (one.checked = true));
    }
  });
  all(".candidates").forEach((group) => (group.hidden = group.dataset.variant !== variant()));
  summarise();
}));
all(".candidate input").forEach((input) => input.addEventListener("change", summarise));
document.querySelector("[data-do=best]").addEventListener("click", () => take("best"));
document.querySelector("[data-do=now]").addEventListener("click", () => take("now"));
document.querySelector("[data-do=save]").addEventListener("click", save);

// One picture at a time, through all that are shown.
const viewer = document.querySelector("dialog");
let current = null;

function show(label) {
  current = label;
  const source = label.querySelector("img");
  viewer.querySelector("img").src = source.src;
  viewer.querySelector("img").alt = source.alt;
  viewer.querySelector("p").textContent = `${source.alt}  ·  ${label.querySelector(".figures").textContent.replace(/\s+/g, " ").trim()}`;
  if (!viewer.open) viewer.showModal();
}

function move(step) {
  const labels = groups().flatMap((group) => all(".candidate", group));
  show(labels[(labels.indexOf(current) + step + labels.length) % labels.length]);
}

function choose() {
  current.querySelector("input").checked = true;
  summarise();
  viewer.close();
}

all(".candidate button").forEach((button) => button.addEventListener("click", (event) => {
  event.preventDefault();
  show(button.closest(".candidate"));
}));
viewer.addEventListener("close", () => current.querySelector("input").focus());
Object.entries({ previous: () => move(-1), next: () => move(1), choose, close: () => viewer.close() }).forEach(
  ([name, action]) => viewer.querySelector(`[data-go=${name}]`).addEventListener("click", action),
);
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (viewer.open) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); move(step); }
    return;
  }
  if (event.key === "Enter" && event.target.closest?.(".candidate")) { event.preventDefault(); show(event.target.closest(".candidate")); }
  if (event.key.toLowerCase() === "s") save();
});
summarise();
