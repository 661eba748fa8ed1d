// What is looked at: an answer, one of its tokens, and a layer. Whoever shows it listens.
export class View extends EventTarget {
  experts = []; // by layer, how many
  answer = null;
  index = -1;
  layer = 0;
  #held = false;
  #kept = new AbortController();

  /** Ends what listens on behalf of answers once they are cleared. */
  get kept() {
    return this.#kept.signal;
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }

  /** What the model has. */
  open(experts) {
    this.experts = experts;
    this.layer = Math.max(0, experts.findIndex((count) => count > 0));
    this.#tell('layer');
  }

  get token() {
    return this.answer?.tokens[this.index];
  }

  /** An answer begins; its newest token is looked at until somebody points at one. */
  begin(answer) {
    this.answer = answer;
    this.index = -1;
    this.#held = false;
    this.#tell('token');
  }

  /** A token's experts have come. */
  routed(answer, index) {
    this.dispatchEvent(new CustomEvent('routed', { detail: answer.tokens[index].routed }));
    if (answer === this.answer) {
      this.index = this.#held ? this.index : index;
      this.#tell('token');
    }
  }

  look(answer, index) {
    this.answer = answer;
    this.index = index;
    this.#held = true;
    this.#tell('token');
  }

  choose(layer) {
    this.layer = layer;
    this.#tell('layer');
  }

  clear() {
    this.#kept.abort();
    this.#kept = new AbortController();
    this.begin(null);
    this.#tell('cleared');
  }
}
