// A relay that believes everything and tells what it is told to: the liar of the fault tests.
import { createServer } from 'node:net';
import { WebSocketServer } from 'ws';
import { until } from './scenario.mjs';

export class FakeRelay {
  static async start(scope, { port = 0 } = {}) {
    const relay = new FakeRelay(new WebSocketServer({ host: '127.0.0.1', port }));
    scope.defer(() => relay.close());
    await new Promise((resolve) => relay.wss.on('listening', resolve));
    relay.port = relay.wss.address().port;
    relay.url = `ws://127.0.0.1:${relay.port}`;
    return relay;
  }

  constructor(wss) {
    this.wss = wss;
    this.subscriptions = new Map(); // socket -> Map(subscription id -> filters)
    this.connections = 0;
    this.deaf = false; // true: events of others are taken but not forwarded
    wss.on('connection', (socket) => {
      this.connections++;
      this.subscriptions.set(socket, new Map());
      socket.on('message', (data) => this.receive(socket, JSON.parse(data)));
      socket.on('close', () => this.subscriptions.delete(socket));
      socket.on('error', () => {});
    });
  }

  receive(socket, [verb, first, ...rest]) {
    if (verb === 'REQ') {
      this.subscriptions.get(socket)?.set(first, rest);
      socket.send(JSON.stringify(['EOSE', first]));
    } else if (verb === 'CLOSE') {
      this.subscriptions.get(socket)?.delete(first);
    } else if (verb === 'EVENT') {
      socket.send(JSON.stringify(['OK', first.id, true, '']));
      if (!this.deaf) this.tell(first);
    }
  }

  /** Sockets and subscription ids of those who asked for events addressed to `pubkey`. */
  listeners(pubkey) {
    const found = [];
    for (const [socket, subs] of this.subscriptions) {
      for (const [id, filters] of subs) {
        if (filters.some((f) => !f['#p'] || f['#p'].includes(pubkey))) found.push({ socket, id });
      }
    }
    return found;
  }

  /** Sends the event to all who listen for `to` (default: its first p tag), unchecked. */
  tell(event, to = event.tags.find((t) => t[0] === 'p')?.[1]) {
    for (const { socket, id } of this.listeners(to)) {
      socket.send(JSON.stringify(['EVENT', id, event]));
    }
  }

  /** The socket of the server `pubkey`, once it has subscribed. */
  async serverSocket(pubkey) {
    const [first] = await until('the server subscribes', 60_000, () => {
      const found = this.listeners(pubkey);
      return found.length > 0 && found;
    });
    return first;
  }

  async close() {
    for (const socket of this.wss.clients) socket.terminate();
    await new Promise((resolve) => this.wss.close(resolve));
  }
}

/** A listener that accepts TCP connections and never says a word. */
export async function startMute(scope) {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  scope.defer(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `ws://127.0.0.1:${server.address().port}`;
}
