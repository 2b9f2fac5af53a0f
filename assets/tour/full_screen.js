// The tour's full screen: the browser's own, without the navigation. How it fills the screen is in tour.css.
// F goes in and out, Esc out; PageDown and PageUp, which presenters' remotes send, press Next and Back.

const FULL = "tl-full-screen";

export default function fullScreen({ parentElement }) {
  parentElement.leave?.(); // called again on the same element: the old listeners go first
  const page = document.documentElement;
  const button = parentElement.querySelector("button");
  const inside = () => page.classList.contains(FULL);

  const show = (full) => {
    page.classList.toggle(FULL, full);
    button.textContent = full ? "Leave full screen (Esc)" : "Full screen (F)";
  };
  const toggle = () => {
    if (!inside()) page.requestFullscreen().catch(() => show(true)); // refused: still without the navigation
    else if (document.fullscreenElement) document.exitFullscreen();
    else show(false);
  };
  const follow = () => show(document.fullscreenElement === page);
  const keys = {
    f: toggle,
    Escape: () => inside() && !document.fullscreenElement && show(false),
    PageDown: () => press("next"),
    PageUp: () => press("back"),
  };
  // On the window and first, because a graph that has the focus has an F and a search box of its own.
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.composedPath()[0]?.closest?.("input, textarea, select, [contenteditable]")) {
      if (event.key.startsWith("Arrow")) event.stopPropagation(); // within the text, not to the next step
      return;
    }
    const graphIsFull = document.fullscreenElement && document.fullscreenElement !== page;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || graphIsFull || event.repeat) return;
    action();
    if (event.key === "Escape") return; // the graph clears its marks with it
    event.preventDefault();
    event.stopPropagation();
  };

  button.onclick = toggle;
  window.addEventListener("keydown", onKey, true);
  document.addEventListener("fullscreenchange", follow);
  follow();
  button.hidden = false;
  parentElement.leave = () => {
    window.removeEventListener("keydown", onKey, true);
    document.removeEventListener("fullscreenchange", follow);
    page.classList.remove(FULL);
  };
  // Streamlit also calls this when newer data overtakes older data while the component stays: then nothing ends.
  return () => {
    if (button.isConnected) return;
    parentElement.leave();
    if (document.fullscreenElement === page) document.exitFullscreen();
  };
}

function press(name) {
  document.querySelector(`.st-key-tour_${name} button:not([disabled])`)?.click();
}
