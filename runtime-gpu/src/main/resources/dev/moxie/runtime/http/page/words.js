// Numbers and tokens as people read them.
export function weight(number) {
  return number.toFixed(2);
}

/** Two digits that count. */
export function margin(number) {
  return number === null ? 'none' : number === 0 ? '0' : number < 0.0001 ? number.toExponential(0) : number.toPrecision(2);
}

export function bytes(number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit++;
  }
  return `${number >= 100 || unit === 0 ? number.toFixed(0) : number.toPrecision(2)} ${units[unit]}`;
}

/** A token's text, with what cannot be seen made visible. */
export function shown(text) {
  return text === '' ? '(no text of its own)' : text.replaceAll(' ', '␣').replaceAll('\n', '⏎');
}

/** The experts of a layer, for whoever hears them. */
export function heard(routed, layer) {
  const experts = routed.experts[layer];
  if (experts.length === 0) {
    return `Layer ${layer} has no experts`;
  }
  const each = experts.map((e, i) => `expert ${e} by ${weight(routed.weights[layer][i])}`).join(', ');
  return `Layer ${layer}: ${each}; margin ${margin(routed.margins[layer])}`;
}
