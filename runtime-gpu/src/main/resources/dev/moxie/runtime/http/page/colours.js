// A hue for each expert, so that neighbours differ: evenly round the circle where there are few of
// them, by the golden angle where there are many, in three depths.
const FEW = 12;
const GOLDEN = 137.508;

export function hue(expert, experts) {
  return experts <= FEW ? (25 + (expert * 360) / experts) % 360 : (25 + expert * GOLDEN) % 360;
}

function depth(expert, experts) {
  return experts <= FEW ? 0 : ((expert % 3) - 1) * 0.05;
}

/** Has an element show an expert's colour, as the style sheet says where. */
export function paint(element, expert, experts) {
  element.classList.add('painted');
  element.style.setProperty('--hue', hue(expert, experts));
  element.style.setProperty('--depth', depth(expert, experts));
}

/** The same for a canvas, whose lightness and chroma the style sheet gives. */
export function fill(expert, experts, style) {
  const lightness = Number(style.getPropertyValue('--solid-l')) + depth(expert, experts);
  return `oklch(${lightness} ${style.getPropertyValue('--solid-c')} ${hue(expert, experts)})`;
}
