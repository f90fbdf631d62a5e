// Small helpers for words and elements. Everything that comes from outside goes in as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export const clone = (template) => byId(template).content.firstElementChild.cloneNode(true);

export function percent(probability) {
  if (probability >= 0.995) return ">99 %";
  if (probability < 0.005) return "<1 %";
  return `${Math.round(100 * probability)} %`;
}

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${clock}` : clock;
}

export function ms(value) {
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}

// Make the children of an element follow a list: as many as it has items, each updated in place.
export function fill(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, index) => {
    if (index >= parent.children.length) parent.append(make(item));
    update(parent.children[index], item);
  });
}
