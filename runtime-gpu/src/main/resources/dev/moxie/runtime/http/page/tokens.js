// An answer: its tokens as they come, each in the colour of an expert. One of them can be reached
// with the keyboard, the arrows go on to the others, up and down to other layers.
import { paint } from './colours.js';
import { heard } from './words.js';

export class Answer {
  tokens = [];
  text = '';
  #view;
  #list;
  #whole;

  constructor(view, turn) {
    this.#view = view;
    this.#list = document.createElement('div');
    this.#list.className = 'tokens';
    this.#list.role = 'listbox';
    this.#list.ariaLabel = 'Tokens of the answer; arrow keys move, up and down choose a layer';
    this.#list.ariaOrientation = 'horizontal';
    this.#list.ariaLive = 'off';
    this.#whole = document.createElement('p');
    this.#whole.className = 'unseen';
    turn.append(this.#whole, this.#list);
    this.#list.addEventListener('keydown', (event) => this.#move(event));
    const { kept: signal } = view;
    view.addEventListener('layer', () => this.tokens.forEach((token) => this.#paint(token)), { signal });
    view.addEventListener('token', () => this.#mark(), { signal });
    view.begin(this);
  }

  /** One more token; with it come the experts of the one before. */
  add(text, routed) {
    const before = this.tokens.at(-1);
    if (routed && before) {
      before.routed = routed;
      this.#paint(before);
      this.#view.routed(this, this.tokens.length - 1);
    }
    const index = this.tokens.length;
    const element = document.createElement('span');
    element.className = 'token';
    element.role = 'option';
    element.textContent = text;
    element.tabIndex = index === 0 ? 0 : -1;
    for (const event of ['pointerenter', 'focus']) {
      element.addEventListener(event, () => this.#view.look(this, index));
    }
    this.tokens.push({ text, element, routed: null });
    this.text += text;
    this.#list.append(element);
  }

  /** Text that was held back, and belongs to the last token. */
  append(text) {
    if (this.tokens.length === 0) {
      this.add(text, null);
    } else {
      this.tokens.at(-1).text += text;
      this.tokens.at(-1).element.textContent += text;
      this.text += text;
    }
  }

  /** The whole of it is for whoever hears it. */
  end() {
    this.#whole.textContent = this.text;
  }

  #paint({ routed, element }) {
    const experts = routed?.experts[this.#view.layer] ?? [];
    element.classList.remove('painted');
    if (routed) {
      element.ariaDescription = heard(routed, this.#view.layer);
    }
    if (experts.length > 0) {
      paint(element, experts[0], this.#view.experts[this.#view.layer]);
    }
  }

  #mark() {
    const looked = this.#view.answer === this ? this.#view.index : -1;
    this.#list.querySelector('[aria-selected]')?.removeAttribute('aria-selected');
    if (looked >= 0) {
      this.tokens[looked].element.ariaSelected = 'true';
    }
  }

  #move(event) {
    const at = this.tokens.findIndex(({ element }) => element === event.target);
    const last = this.tokens.length - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    const layer = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (to !== undefined && to >= 0 && to <= last) {
      this.tokens[at].element.tabIndex = -1;
      this.tokens[to].element.tabIndex = 0;
      this.tokens[to].element.focus();
    } else if (layer !== undefined && this.#view.experts[this.#view.layer + layer] !== undefined) {
      this.#view.choose(this.#view.layer + layer);
    } else {
      return;
    }
    event.preventDefault();
  }
}
