// Ticking a user ticks that user's connections, and the other way round. The form works without this.
"use strict";

for (const person of document.querySelectorAll("tbody")) {
  const user = person.querySelector("input[name=username]");
  const connections = [...person.querySelectorAll("input[name=socketID]")];

  const reflect = () => {
    const ticked = connections.filter((box) => box.checked).length;
    user.checked = ticked === connections.length;
    user.indeterminate = ticked > 0 && ticked < connections.length;
  };

  const spread = () => {
    for (const box of connections) box.checked = user.checked;
  };

  user.addEventListener("change", spread);
  for (const box of connections) box.addEventListener("change", reflect);

  // A browser that comes back to the page, or a form that was sent in vain, has boxes ticked already.
  window.addEventListener("pageshow", () => {
    if (user.checked) spread();
    reflect();
  });
}
