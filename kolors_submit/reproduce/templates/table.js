// A click on a column's name sorts its table by that column, again the other way round; what is empty stays last.
const words = new Intl.Collator(undefined, { numeric: true });

function sort(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const numeric = header.classList.contains("number") && !header.matches(":first-child");
  const first = numeric ? "descending" : "ascending";
  const other = numeric ? "ascending" : "descending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  for (const one of header.parentNode.children) one.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const value = (row) => row.children[column].dataset.value;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (value(a) === "") - (value(b) === "") || sign * words.compare(value(a), value(b)));
  table.tBodies[0].append(...rows);
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}
