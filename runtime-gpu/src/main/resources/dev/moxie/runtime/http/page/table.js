// The experts of one token, layer by layer: as wide as they weigh.
import { paint } from './colours.js';
import { onceAFrame } from './frame.js';
import { heard, margin, shown, weight } from './words.js';

function expert(id, count, own, all) {
  const chip = document.createElement('li');
  const name = document.createElement('b');
  const share = document.createElement('span');
  name.textContent = id;
  share.textContent = weight(own);
  chip.title = `expert ${id}, weight ${own}`;
  chip.ariaLabel = chip.title;
  chip.classList.toggle('long', id > 99);
  chip.append(name, ' ', share);
  chip.style.setProperty('flex-grow', Math.max(own / all, 0.01));
  paint(chip, id, count);
  return chip;
}

export function showTable(table, name, words, view) {
  const rows = [];

  function build() {
    rows.length = 0;
    table.tBodies[0].replaceChildren();
    view.experts.forEach((count, layer) => {
      const row = table.tBodies[0].insertRow();
      const head = document.createElement('th');
      const button = document.createElement('button');
      head.scope = 'row';
      button.type = 'button';
      button.tabIndex = -1; // With a keyboard there is the list of layers, one stop instead of many.
      button.textContent = layer;
      button.ariaLabel = `Layer ${layer}: colour tokens by it`;
      button.addEventListener('click', () => view.choose(layer));
      head.append(button);
      row.append(head);
      const experts = document.createElement('ol');
      row.insertCell().append(experts);
      const close = row.insertCell();
      close.className = 'number';
      rows.push({ row, button, experts, close, count });
    });
  }

  function fillIn() {
    const token = view.token;
    name.textContent = token ? `${view.index + 1} ${shown(token.text)}` : 'none yet';
    words.textContent = token?.routed ? `${heard(token.routed, view.layer)}.` : '';
    rows.forEach(({ experts, close, count }, layer) => {
      const routed = token?.routed;
      const ids = routed?.experts[layer] ?? [];
      const all = ids.reduce((sum, id, i) => sum + routed.weights[layer][i], 0);
      experts.replaceChildren(...ids.map((id, i) => expert(id, count, routed.weights[layer][i], all)));
      close.textContent = ids.length > 0 ? margin(routed.margins[layer]) : '';
      if (count === 0) {
        close.textContent = 'dense';
      }
    });
  }

  function mark() {
    if (rows.length !== view.experts.length) {
      build();
    }
    rows.forEach(({ row, button }, layer) => {
      row.classList.toggle('chosen', layer === view.layer);
      button.ariaPressed = String(layer === view.layer);
    });
    fillIn();
  }

  view.addEventListener('token', onceAFrame(fillIn));
  view.addEventListener('layer', mark);
}
