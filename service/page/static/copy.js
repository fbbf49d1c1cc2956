// Adds a button behind each text that can be copied. Everything else on the page works without a script.
"use strict";

function addButton(text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copies";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy the ${text.dataset.copy}`);
  button.addEventListener("click", async () => {
    const status = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
      status.textContent = `The ${text.dataset.copy} is copied.`;
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
      status.textContent = "The browser does not allow copying; the text is selected.";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  const block = text.closest("pre");
  if (block) block.before(button);
  else text.after(button);
}

if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(addButton);
