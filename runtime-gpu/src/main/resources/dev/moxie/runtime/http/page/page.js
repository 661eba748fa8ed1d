// The page: a server is asked what it serves, then people ask, and see how it answers.
import { Figures } from './figures.js';
import { showLoad } from './load.js';
import { showMap } from './map.js';
import { model, Refusal, useKey } from './server.js';
import { showTable } from './table.js';
import { Talk } from './talk.js';
import { Answer } from './tokens.js';
import { View } from './view.js';

const $ = (id) => document.getElementById(id);

const view = new View();
const figures = new Figures($('figures'));
let talk;
let running = null;

function tell(words) {
  $('state').textContent = words;
}

function refuse(failure) {
  $('notice').textContent = failure?.message ?? '';
  $('notice').hidden = failure === null;
  if (failure?.status === 401) {
    $('ask').showModal();
  } else if (failure !== null && !(failure instanceof Refusal)) {
    throw failure;
  }
}

async function open() {
  try {
    const served = await model();
    refuse(null);
    $('model').textContent = served.id;
    document.title = `${served.id} – Moxie`;
    talk = new Talk(served);
    $('prompt-label').textContent = talk.label;
    $('prompt').placeholder = talk.label;
    $('limit').max = served.max_model_len;
    $('layer').replaceChildren(...served.moxie.experts.map((count, layer) => new Option(layer, layer)));
    view.open(served.moxie.experts);
    $('send').disabled = false;
    tell('Ready.');
    figures.watch();
  } catch (failure) {
    tell('Not connected.');
    refuse(failure);
  }
}

/** Something that was written, by whom. */
function turn(by, name) {
  const article = document.createElement('article');
  const head = document.createElement('h3');
  article.className = `turn ${by}`;
  head.className = 'unseen';
  head.textContent = name;
  article.append(head);
  $('turns').append(article);
  return article;
}

function run(is) {
  $('send').hidden = is;
  $('stop').hidden = !is;
}

async function send(words) {
  $('welcome').hidden = true;
  refuse(null);
  const said = document.createElement('p');
  said.textContent = words;
  turn('asked', 'Asked').append(said);
  const answer = new Answer(view, turn('answered', 'Answer'));
  running = new AbortController();
  run(true);
  tell('Answering.');
  figures.asked();
  let how = 'ended';
  try {
    const settings = { temperature: $('temperature').valueAsNumber, max_tokens: $('limit').valueAsNumber };
    const turns = $('turns');
    for await (const piece of talk.ask(words, settings, running.signal)) {
      const follows = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40;
      if (piece.isToken) {
        figures.token();
        answer.add(piece.text, piece.routed);
      } else if (piece.text !== '') {
        answer.append(piece.text);
      }
      how = piece.finish === 'length' ? 'ended with as many tokens as it may have' : how;
      if (follows) {
        turns.scrollTop = turns.scrollHeight;
      }
    }
  } catch (failure) {
    how = failure.name === 'AbortError' ? 'was stopped' : 'did not come';
    if (failure.name !== 'AbortError') {
      refuse(failure);
    }
  } finally {
    answer.end();
    running = null;
    run(false);
    tell(`The answer ${how}: ${answer.tokens.length} tokens.`);
    $('prompt').focus();
  }
}

function submit() {
  const words = $('prompt').value;
  if (talk && running === null && words.trim() !== '' && $('composer').reportValidity()) {
    $('prompt').value = '';
    send(words);
  }
}

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
});
$('prompt').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  }
});
$('stop').addEventListener('click', () => running?.abort());
$('clear').addEventListener('click', () => {
  running?.abort();
  talk?.clear();
  $('turns').replaceChildren($('welcome'));
  $('welcome').hidden = false;
  view.clear();
  $('prompt').focus();
});
$('layer').addEventListener('change', () => view.choose(Number($('layer').value)));
view.addEventListener('layer', () => ($('layer').value = view.layer));
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  useKey($('key').value);
  $('key').value = '';
  $('ask').close();
  open();
});
showMap($('map'), view);
showTable($('table'), $('token'), $('token-words'), view);
showLoad($('load'), $('load-words'), $('load-layer'), view);
open();
