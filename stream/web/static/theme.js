// Before anything is painted: light or dark, as this person chose here, else as the system says.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // no storage here: the system decides
  }
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = chosen ?? (light ? "light" : "dark");
})();
