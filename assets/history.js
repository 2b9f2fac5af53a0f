// One press of Back a page or a view of it: another page, or another `view` that a person chose, adds a history entry; any
// other change of parameters replaces the one that is there.
{
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  // st.switch_page writes the next page's parameters into this page's address first. No click or key comes between that
  // and the change of the page, so the address that was right can be put back.
  let before = null;
  // Back or Forward was pressed, and nothing since. The page that was left may still be running, and its late messages
  // would add it again behind the page that is wanted.
  let wentBack = false;
  // Something was clicked or pressed on this page: a view that it writes before is its own first one.
  let used = false;
  for (const kind of ["pointerdown", "keydown", "click"]) {
    addEventListener(kind, () => { before = null; wentBack = false; used = true; }, true);
  }
  addEventListener("popstate", () => { before = null; wentBack = true; used = false; }, true);

  /** Whether the two addresses differ in nothing but the view. */
  function isOtherView(one, other) {
    const [p, q] = [one, other].map((address) => new URLSearchParams(address.search));
    if (p.get("view") === q.get("view")) return false;
    for (const params of [p, q]) {
      params.delete("view");
      params.sort();
    }
    return p.toString() === q.toString();
  }

  history.pushState = (state, title, url) => {
    const next = new URL(url ?? location.href, location.href);
    if (next.pathname === location.pathname) {
      if (used && isOtherView(location, next)) return push(state, title, next.href);
      before ??= location.href;
      return replace(state, title, next.href);
    }
    if (wentBack) return;
    if (before !== null && next.search === location.search) replace(history.state, "", before);
    before = null;
    used = false;
    return push(state, title, next.href);
  };
}
