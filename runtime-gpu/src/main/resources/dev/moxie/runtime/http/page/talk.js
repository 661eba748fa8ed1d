// What is asked, and how: a chat where the model has a template, else a text that goes on.
import { stream } from './server.js';

export class Talk {
  #model;
  #messages = [];

  constructor(model) {
    this.#model = model;
  }

  /** What is written is called. */
  get label() {
    if (this.#model.moxie.chat) {
      return 'Message';
    }
    return this.#model.moxie.text ? 'Text to continue' : 'Tokens to continue, as numbers';
  }

  /**
   * Yields the pieces of an answer, each with its text and experts.
   *
   * @param settings temperature and max_tokens
   */
  async *ask(words, settings, signal) {
    const chat = this.#model.moxie.chat;
    const body = { ...settings, model: this.#model.id };
    if (chat) {
      this.#messages.push({ role: 'user', content: words });
      body.messages = this.#messages;
    } else {
      body.prompt = this.#model.moxie.text ? words : (words.match(/\d+/g) ?? []).map(Number);
    }
    const answer = { role: 'assistant', content: '' };
    try {
      for await (const choice of stream(chat ? '/v1/chat/completions' : '/v1/completions', body, signal)) {
        const text = this.#model.moxie.text
          ? (chat ? choice.delta.content : choice.text) ?? ''
          : (choice.token_ids ?? []).map((id) => `${id} `).join('');
        answer.content += text;
        // A token brings this member, whatever it has to say; the role and the end do not.
        yield { text, isToken: choice.routed !== undefined, routed: choice.routed, finish: choice.finish_reason };
      }
    } finally {
      if (chat) {
        // A question that nothing answered is asked again by whoever wants to.
        answer.content === '' ? this.#messages.pop() : this.#messages.push(answer);
      }
    }
  }

  clear() {
    this.#messages = [];
  }
}
