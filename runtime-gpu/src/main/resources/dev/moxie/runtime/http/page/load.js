// How often the experts of a layer were chosen by the tokens of answers on this page.
import { paint } from './colours.js';
import { onceAFrame } from './frame.js';

export function showLoad(box, words, name, view) {
  let counts = [];
  let bars = [];

  function count(routed) {
    routed.experts.forEach((ids, layer) => {
      for (const id of ids) {
        counts[layer][id]++;
      }
    });
  }

  function build() {
    name.textContent = view.layer;
    const own = counts[view.layer] ?? [];
    bars = own.map((none, id) => {
      const bar = document.createElement('span');
      bar.className = 'bar';
      paint(bar, id, own.length);
      return bar;
    });
    box.classList.toggle('many', own.length > 16);
    box.replaceChildren(
      ...bars.map((bar, id) => {
        const column = document.createElement('span');
        const label = document.createElement('span');
        column.className = 'column';
        column.title = `expert ${id}`;
        label.className = 'id';
        label.textContent = id;
        column.append(bar, label);
        return column;
      }),
    );
    show();
  }

  function show() {
    const own = counts[view.layer] ?? [];
    const all = own.reduce((sum, one) => sum + one, 0);
    const most = Math.max(1, ...own);
    bars.forEach((bar, id) => bar.style.setProperty('--share', own[id] / most));
    const unused = own.filter((one) => one === 0).length;
    words.textContent =
      own.length === 0
        ? 'This layer has no experts.'
        : all === 0
          ? 'Of the tokens of answers on this page: none yet.'
          : `Of the tokens of answers on this page: the busiest expert, ${own.indexOf(most)}, has ${((100 * most) / all).toFixed(0)} %, ` +
            `${((own.length * most) / all).toFixed(1)} times even load; ${unused === 0 ? 'none is' : `${unused} of ${own.length} are`} unused.`;
    box.ariaLabel = `Load of layer ${view.layer}. ${words.textContent}`;
  }

  function clear() {
    counts = view.experts.map((experts) => new Array(experts).fill(0));
    build();
  }

  const later = onceAFrame(show);
  view.addEventListener('routed', (event) => {
    count(event.detail);
    later();
  });
  view.addEventListener('layer', () => (counts.length === view.experts.length ? build() : clear()));
  view.addEventListener('cleared', clear);
}
