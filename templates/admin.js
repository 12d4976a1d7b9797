// Ticking a user ticks that user's connections. The form works without this.
//
// The other way round a user is never ticked: that means all connections of that user, also one that has come since the
// page was loaded, and only the sender can mean that.
"use strict";

for (const person of document.querySelectorAll("tbody")) {
  const user = person.querySelector("input[name=username]");
  const connections = [...person.querySelectorAll("input[name=socketID]")];

  const reflect = () => {
    const ticked = connections.filter((box) => box.checked).length;
    if (ticked < connections.length) user.checked = false;
    user.indeterminate = ticked > 0 && !user.checked;
  };

  const spread = () => {
    for (const box of connections) box.checked = user.checked;
  };

  user.addEventListener("change", spread);
  for (const box of connections) box.addEventListener("change", reflect);

  // A browser that comes back to the page, or a form that was refused, has boxes ticked already.
  window.addEventListener("pageshow", () => {
    if (user.checked) spread();
    reflect();
  });
}
