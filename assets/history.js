// One press of Back a page: a change of parameters replaces the history entry, a change of the page adds one.
{
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  // st.switch_page writes the next page's parameters into this page's address first. No click or key comes between that
  // and the change of the page, so the address that was right can be put back.
  let before = null;
  // Back or Forward was pressed, and nothing since. The page that was left may still be running, and its late messages
  // would add it again behind the page that is wanted.
  let wentBack = false;
  for (const kind of ["pointerdown", "keydown", "click"]) {
    addEventListener(kind, () => { before = null; wentBack = false; }, true);
  }
  addEventListener("popstate", () => { before = null; wentBack = true; }, true);

  history.pushState = (state, title, url) => {
    const next = new URL(url ?? location.href, location.href);
    if (next.pathname === location.pathname) {
      before ??= location.href;
      return replace(state, title, next.href);
    }
    if (wentBack) return;
    if (before !== null && next.search === location.search) replace(history.state, "", before);
    before = null;
    return push(state, title, next.href);
  };
}
