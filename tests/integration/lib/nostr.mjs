// A bare Nostr client over `ws`: sends any event or bytes, and is light enough to run 200 of.
import assert from 'node:assert/strict';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import WebSocket from 'ws';
import { within } from './scenario.mjs';

export const KIND_MCP = 25910;
const ANSWER_MS = 45_000; // longer than a place in the wait queue lasts
export { generateSecretKey, getPublicKey };

/** A signed MCP event from `secretKey` to `to`; `message` is an object or the content itself. */
export function mcpEvent(secretKey, to, message, extra = {}) {
  return finalizeEvent({
    kind: KIND_MCP,
    created_at: Math.floor(Date.now() / 1000),
    tags: [['p', to]],
    content: typeof message === 'string' ? message : JSON.stringify(message),
    ...extra,
  }, secretKey);
}

/** The same event with one bit of its signature turned over. */
export function withBadSignature(event) {
  const last = (parseInt(event.sig.at(-1), 16) ^ 1).toString(16);
  return { ...event, sig: event.sig.slice(0, -1) + last };
}

// Shared by all clients: two equal requests of one key in one second would be one event.
let nextId = 1;

export class RawClient {
  /** Connects and subscribes as a client of `server`; returns after the relay's EOSE. */
  static async connect(scope, url, server, secretKey = generateSecretKey()) {
    const client = new RawClient(url, server, secretKey);
    scope.defer(() => client.close());
    await within(`connect to ${url}`, 30_000, client.subscribed);
    return client;
  }

  constructor(url, server, secretKey) {
    this.server = server;
    this.secretKey = secretKey;
    this.pubkey = getPublicKey(secretKey);
    this.waiting = new Map(); // event id -> {resolve, id}
    this.oks = new Map(); // event id -> resolve
    this.answered = new Set();
    this.problems = [];
    this.strays = []; // answers to nothing this client has sent with send()
    this.notifications = [];
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.subscribed = new Promise((resolve, reject) => {
      this.eose = resolve;
      this.socket.on('error', reject);
      this.socket.on('close', () => reject(new Error('relay closed the connection')));
    });
    this.subscribed.catch(() => {});
    this.socket.on('open', () => this.socket.send(JSON.stringify(
      ['REQ', 'me', { kinds: [KIND_MCP], '#p': [this.pubkey] }])));
    this.socket.on('message', (data) => this.receive(JSON.parse(data)));
  }

  receive([verb, ...rest]) {
    if (verb === 'EOSE') this.eose();
    if (verb === 'OK') {
      this.oks.get(rest[0])?.({ accepted: rest[1], text: rest[2] });
      this.oks.delete(rest[0]);
    }
    if (verb === 'EVENT') this.receiveEvent(rest[1]);
  }

  receiveEvent(event) {
    const tag = (name) => event.tags.find((t) => t[0] === name)?.[1];
    const message = JSON.parse(event.content);
    if (event.pubkey !== this.server || tag('p') !== this.pubkey) {
      this.problems.push(`event of ${event.pubkey} to ${tag('p')}`);
    }
    if ('method' in message) {
      this.notifications.push({ message, about: tag('e') });
      return;
    }
    const request = this.waiting.get(tag('e'));
    if (this.answered.has(tag('e'))) this.problems.push(`second answer: ${event.content}`);
    if (!request) {
      this.strays.push(message);
      return;
    }
    this.answered.add(tag('e'));
    this.waiting.delete(tag('e'));
    if (message.id !== request.id) this.problems.push(`id of another: ${event.content}`);
    request.resolve(message);
  }

  /** A request event that is not sent yet. */
  sign(method, params = {}, id = nextId++) {
    const message = { jsonrpc: '2.0', id, method, params };
    return { id, event: mcpEvent(this.secretKey, this.server, message) };
  }

  /** Waits for the answer to a request without sending it. */
  answerTo({ id, event }, ms = ANSWER_MS) {
    const answer = new Promise((resolve) => this.waiting.set(event.id, { resolve, id }));
    return within(`answer to ${event.content.slice(0, 120)}`, ms, answer);
  }

  /** Sends a signed request and returns the JSON-RPC answer. */
  send(signed, ms) {
    const answer = this.answerTo(signed, ms);
    this.socket.send(JSON.stringify(['EVENT', signed.event]));
    return answer;
  }

  /** Publishes any event and returns the relay's verdict `{accepted, text}`. */
  publish(event) {
    const verdict = new Promise((resolve) => this.oks.set(event.id, resolve));
    this.socket.send(JSON.stringify(['EVENT', event]));
    return within(`OK for ${event.id}`, 30_000, verdict);
  }

  request(method, params, { id, ms } = {}) {
    return this.send(this.sign(method, params, id), ms);
  }

  initialize(options) {
    return this.request('initialize', {
      protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' },
    }, options);
  }

  /** A tool call: the whole JSON-RPC answer. */
  tool(name, args = {}, options) {
    return this.request('tools/call', { name, arguments: args }, options);
  }

  /** A tool call that must succeed: its text. */
  async text(name, args, options) {
    const answer = await this.tool(name, args, options);
    assert.ok(answer.result, `${name} was refused: ${JSON.stringify(answer.error)}`);
    return answer.result.content[0].text;
  }

  /** The number of calls the server has executed for us, this one included. */
  async count() {
    return JSON.parse(await this.text('count')).count;
  }

  /**
   * Starts a call and returns when it is known to be running: messages of one client are taken in
   * order, so an answer to the call after it proves that it was taken.
   */
  async hold(name, args, options) {
    const answer = this.tool(name, args, options);
    answer.catch(() => {});
    await this.text('whoami');
    return { answer };
  }

  /** Nothing unexpected arrived so far. */
  check() {
    assert.deepEqual(this.problems, []);
  }

  close() {
    this.socket.terminate();
  }
}

/** A fresh client's echo must be answered; repeated, because a request may fall into an outage. */
export async function eventuallyServes(scope, url, server, ms = 60_000) {
  const end = Date.now() + ms;
  for (let attempt = 1; ; attempt++) {
    let client;
    try {
      client = await RawClient.connect(scope, url, server);
      const said = `still here ${attempt}`;
      assert.equal(await client.text('echo', { message: said }, { ms: 2000 }), said);
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      client?.close();
    }
  }
}
