// Speed and memory: what this page sees of an answer, and what the server says of itself.
import { metrics } from './server.js';
import { bytes } from './words.js';

const EVERY = 2000;

/** A figure of Prometheus's text. */
function figure(text, name) {
  const line = text.match(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm'));
  return line === null ? undefined : Number(line[1]);
}

export class Figures {
  #list;
  #shown = new Map();
  #start = 0;
  #first = 0;
  #tokens = 0;

  constructor(list) {
    this.#list = list;
    this.#show('tokens/s', '–');
    this.#show('first token', '–');
  }

  #show(name, value) {
    let place = this.#shown.get(name);
    if (place === undefined) {
      const pair = document.createElement('div');
      const term = document.createElement('dt');
      place = document.createElement('dd');
      term.textContent = name;
      pair.append(term, place);
      this.#list.append(pair);
      this.#shown.set(name, place);
    }
    place.textContent = value;
  }

  asked() {
    this.#start = performance.now();
    this.#tokens = 0;
  }

  token() {
    const now = performance.now();
    if (this.#tokens++ === 0) {
      this.#first = now;
      this.#show('first token', `${(now - this.#start).toFixed(0)} ms`);
    } else {
      this.#show('tokens/s', this.perSecond(now).toFixed(1));
    }
  }

  perSecond(now) {
    return ((this.#tokens - 1) * 1000) / Math.max(1, now - this.#first);
  }

  /** Goes on to ask the server, while anybody looks. */
  async watch() {
    if (document.visibilityState === 'visible') {
      try {
        this.#memory(await metrics());
      } catch {
        // Whoever asks for an answer is told what is wrong.
      }
    }
    setTimeout(() => this.watch(), EVERY);
  }

  #memory(text) {
    const cache = figure(text, 'moxie_cache_bytes');
    const used = figure(text, 'vllm:kv_cache_usage_perc');
    this.#show('cache', `${bytes(cache)}, ${(100 * used).toFixed(0)} %`);
    const resident = figure(text, 'process_resident_memory_bytes');
    if (resident !== undefined) {
      this.#show('resident', bytes(resident));
    }
    const tokens = figure(text, 'moxie_step_tokens_total');
    const read = figure(text, 'moxie_storage_read_bytes_total');
    if (tokens > 0 && read !== undefined) {
      this.#show('read/token', bytes(read / tokens));
    }
    const chosen = figure(text, 'moxie_expert_chosen_bytes_total');
    if (chosen > 0) {
      const hits = figure(text, 'moxie_expert_resident_bytes_total') / chosen;
      this.#show('expert hits', `${(100 * hits).toFixed(0)} %`);
    }
  }
}
