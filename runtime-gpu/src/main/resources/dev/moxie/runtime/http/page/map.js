// An answer from afar: a column for each token, a row for each layer.
import { fill } from './colours.js';
import { onceAFrame } from './frame.js';
import { shown } from './words.js';

const WIDEST = 14;
const NARROWEST = 3;
const HIGHEST = 240;

/** Between cells, where they are large enough for one. */
function gap(size) {
  return size >= 6 ? 1 : 0;
}

export function showMap(canvas, view) {
  let first = 0;
  let width = 1;
  let height = 1;

  function draw() {
    const tokens = view.answer?.tokens ?? [];
    const layers = Math.max(1, view.experts.length);
    const room = canvas.clientWidth;
    width = Math.min(WIDEST, Math.max(NARROWEST, room / Math.max(1, tokens.length)));
    height = Math.min(WIDEST, Math.max(NARROWEST, Math.floor(HIGHEST / layers)));
    first = Math.max(0, tokens.length - Math.floor(room / width));
    const scale = window.devicePixelRatio;
    canvas.style.setProperty('height', `${layers * height}px`);
    canvas.width = room * scale;
    canvas.height = layers * height * scale;
    const context = canvas.getContext('2d');
    context.scale(scale, scale);
    const style = getComputedStyle(canvas);
    for (let layer = 0; layer < layers; layer++) {
      context.fillStyle = style.getPropertyValue('--page');
      context.fillRect(0, layer * height, room, height - gap(height));
    }
    for (let t = first; t < tokens.length; t++) {
      for (let layer = 0; layer < layers; layer++) {
        cell(context, style, tokens[t].routed, layer, t - first);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = style.color;
    if (view.index >= first) {
      context.strokeRect((view.index - first) * width, 0.5, width, layers * height - 1);
      context.strokeRect(0.5, view.layer * height, room - 1, height - 1);
    }
    canvas.ariaLabel = view.token
      ? `Map of the answer: ${tokens.length} tokens, ${layers} layers; at ${shown(view.token.text)}`
      : 'Map of the answer: nothing yet';
  }

  function cell(context, style, routed, layer, column) {
    const x = Math.round(column * width);
    const end = Math.round((column + 1) * width) - gap(width);
    const experts = routed?.experts[layer] ?? [];
    if (experts.length > 0) {
      const weights = routed.weights[layer];
      const share = weights[0] / weights.reduce((sum, one) => sum + one, 0);
      context.globalAlpha = 0.3 + 0.7 * share;
      context.fillStyle = fill(experts[0], view.experts[layer], style);
    } else {
      context.globalAlpha = 1;
      context.fillStyle = style.getPropertyValue('--line');
    }
    context.fillRect(x, layer * height, end - x, height - gap(height));
  }

  const later = onceAFrame(draw);

  function point(event) {
    const token = first + Math.floor(event.offsetX / width);
    if (view.answer?.tokens[token]) {
      view.look(view.answer, token);
    }
    if (event.type === 'click') {
      view.choose(Math.min(view.experts.length - 1, Math.floor(event.offsetY / height)));
    }
  }

  view.addEventListener('token', later);
  view.addEventListener('layer', later);
  canvas.addEventListener('pointermove', point);
  canvas.addEventListener('click', point);
  new ResizeObserver(later).observe(canvas);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', later);
}
