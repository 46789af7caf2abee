// Bad events, bad frames, bad relays: the server goes on, and nothing wrong is executed.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import WebSocket from 'ws';
import { FakeRelay, startMute } from './lib/fakerelay.mjs';
import { callText, connectClient } from './lib/mcp.mjs';
import { RawClient, eventuallyServes, generateSecretKey, getPublicKey, mcpEvent, withBadSignature,
} from './lib/nostr.mjs';
import { startBoth, startRelay, startServer } from './lib/programs.mjs';
import { scenario, until } from './lib/scenario.mjs';

const DEEP = 10_000;
const HUGE = 20 * 1024 * 1024;
const LOG_LINES_MAX = 500;
const deepArray = '['.repeat(DEEP) + ']'.repeat(DEEP);
const deepObject = '{"a":'.repeat(DEEP) + '0' + '}'.repeat(DEEP);

/** A server that listens to a relay which forwards everything unchecked, and an honest client. */
async function withLiar(scope, relays = []) {
  const liar = await FakeRelay.start(scope);
  const server = await startServer(scope, { relays: [liar.url, ...relays] });
  await liar.serverSocket(server.pubkey);
  const client = await RawClient.connect(scope, liar.url, server.pubkey);
  assert.equal(await client.count(), 1);
  return { liar, server, client };
}

const counting = (client) => client.sign('tools/call', { name: 'count', arguments: {} });
const countOf = (answer) => JSON.parse(answer.result.content[0].text).count;

async function officialServes(scope, urls, server) {
  const client = await connectClient(scope, { relays: urls, server: server.pubkey });
  assert.equal(await callText(client, 'echo', { message: 'as ever' }), 'as ever');
}

scenario('the relay refuses bad events', 60, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  const good = () => counting(client).event;
  const other = good();
  const bad = [
    withBadSignature(good()),
    { ...good(), id: other.id },
    { ...good(), content: '{"jsonrpc":"2.0","id":1,"method":"ping"}' },
    { ...good(), pubkey: server.pubkey },
  ];
  for (const event of bad) {
    const { accepted, text } = await client.publish(event);
    assert.equal(accepted, false);
    assert.match(text, /^invalid:/);
  }
  assert.equal(await client.count(), 1);
  await officialServes(scope, [relay.url], server);
});

scenario('bad events from a lying relay are not executed', 60, async (scope) => {
  const { liar, server, client } = await withLiar(scope);
  const elsewhere = getPublicKey(generateSecretKey());
  const call = (id) =>
    ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'count', arguments: {} } });
  const bads = {
    'bad signature': withBadSignature(counting(client).event),
    'bad id': { ...counting(client).event, id: counting(client).event.id },
    'other content': { ...counting(client).event, content: counting(client).event.content },
    'other key': { ...counting(client).event, pubkey: elsewhere },
    'no p tag': mcpEvent(client.secretKey, server.pubkey, call('n'), { tags: [] }),
    'wrong addressee': mcpEvent(client.secretKey, elsewhere, call('w')),
    'wrong kind': mcpEvent(client.secretKey, server.pubkey, call('k'), { kind: 25911 }),
  };
  let expected = 1;
  for (const [what, event] of Object.entries(bads)) {
    liar.tell(event, server.pubkey);
    assert.equal(await client.count(), ++expected, `${what} was executed`);
  }
  assert.equal(await client.count(), ++expected);
  assert.deepEqual(client.strays, [], 'bad events have no answer');
  client.check();
  await officialServes(scope, [liar.url], server);
});

scenario('a bad copy ahead of the good one does not kill it', 60, async (scope) => {
  const honest = await startRelay(scope);
  const { liar, server, client } = await withLiar(scope, [honest.url]);
  const direct = await RawClient.connect(scope, honest.url, server.pubkey, client.secretKey);
  let expected = 1;
  for (let i = 0; i < 10; i++) {
    const signed = counting(client);
    const answer = client.answerTo(signed);
    const copies = [withBadSignature(signed.event), signed.event, signed.event];
    for (let k = 0; k < i % 4; k++) copies.unshift(withBadSignature(signed.event));
    if (i % 2) copies.push(withBadSignature(signed.event));
    copies.forEach((event) => liar.tell(event, server.pubkey));
    assert.equal(countOf(await answer), ++expected);
  }
  for (let i = 0; i < 10; i++) {
    const signed = counting(direct);
    liar.tell(withBadSignature(signed.event), server.pubkey);
    assert.equal(countOf(await direct.send(signed)), ++expected);
  }
  client.check();
  direct.check();
});

scenario('messages that are no JSON-RPC, or nested 10,000 deep', 60, async (scope) => {
  const { liar, server, client } = await withLiar(scope);
  const contents = ['', 'hello', '[]', '{}', 'null', '0', '{"jsonrpc":"2.0"}', '{"id":1}',
    '{"jsonrpc":',
    '{"jsonrpc":"1.0","id":1,"method":"ping"}', '{"jsonrpc":"2.0","id":{},"method":"ping"}',
    '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', '{"jsonrpc":"2.0","id":1,"method":7}',
    '{"jsonrpc":"2.0","id":1,"result":{}}', '{"jsonrpc":"2.0","method":"notifications/nothing"}',
    '\u0000', '\ud83d\ude42'.repeat(1000), deepArray, deepObject,
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${deepObject}}`];
  for (const content of contents) {
    liar.tell(mcpEvent(client.secretKey, server.pubkey, content));
  }
  assert.equal(await client.count(), 2);
  await officialServes(scope, [liar.url], server);
});

scenario('garbage frames from the relay', 240, async (scope) => {
  const { liar, server } = await withLiar(scope);
  const event = mcpEvent(generateSecretKey(), server.pubkey, '{}');
  const texts = ['', 'hello', '{}', '[]', '[1]', 'null', '["EVENT"]', '["EVENT",7,{}]',
    '["EVENT","x",[]]', '["OK"]', '["OK","00",true]', '["EOSE",7]', '["CLOSED"]', '["NOTICE",{}]',
    '["NOTICE","hello"]', '["AUTH","x"]', '["NOSUCH",1]', '["EVENT","nosuch",{"id":"zz"}]',
    deepArray, deepObject,
    `["EVENT","x",${deepObject}]`, '["NOTICE","\\ud800"]', '["EVENT"',
    `["NOTICE","${'x'.repeat(1e5)}"]`,
    JSON.stringify(['EVENT', 'x', { ...event, tags: [[]] }]),
    JSON.stringify(['EVENT', 'x', { ...event, created_at: 1e300 }]),
    JSON.stringify(['EVENT', 'x', { ...event, kind: -1 }])];
  for (const text of texts) (await liar.serverSocket(server.pubkey)).socket.send(text);
  for (let size = 0; size < 300; size += 37) {
    (await liar.serverSocket(server.pubkey)).socket.send(randomBytes(size));
  }
  await eventuallyServes(scope, liar.url, server.pubkey);
  // Against RFC 6455: a masked frame, reserved bits, a reserved opcode, text that is no UTF-8, a
  // control frame that is too long, a continuation of nothing, a length of 2^63, plain noise.
  const frames = ['81810000000061', 'f100', '8300', '8102c328', '897e0080', '8001ff',
    '817fffffffffffffffff', randomBytes(64).toString('hex')];
  for (const frame of frames) {
    const { socket } = await liar.serverSocket(server.pubkey);
    socket._socket.write(Buffer.from(frame, 'hex'));
    await eventuallyServes(scope, liar.url, server.pubkey);
  }
  await officialServes(scope, [liar.url], server);
});

scenario('an oversized message from the relay', 120, async (scope) => {
  const { liar, server } = await withLiar(scope);
  const event = mcpEvent(generateSecretKey(), server.pubkey, 'x'.repeat(HUGE));
  liar.tell(event);
  await eventuallyServes(scope, liar.url, server.pubkey);
  await officialServes(scope, [liar.url], server);
});

scenario('garbage and oversized messages to our relay', 120, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const texts = ['', 'hello', '[]', '{}', '["REQ"]', '["REQ",1,2]', '["REQ","x",7]', '["CLOSE"]',
    '["REQ","x",{"ids":["zz"],"limit":-1}]', '["EVENT"]', '["EVENT",[]]', '["NOSUCH"]', deepArray,
    deepObject, `["EVENT",${deepObject}]`, `["REQ","deep",${deepObject}]`, 'x'.repeat(HUGE),
    JSON.stringify(['REQ', 'y'.repeat(1000), {}])];
  const bytes = ['810161', 'f18000000000', '838000000000', '818200000000c328', '8100'];
  for (const part of [...texts, ...bytes.map((hex) => Buffer.from(hex, 'hex'))]) {
    const socket = new WebSocket(relay.url);
    scope.defer(() => socket.terminate());
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    socket.removeAllListeners('error').on('error', () => {});
    if (typeof part === 'string') socket.send(part);
    else socket._socket.write(part);
  }
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  assert.equal(await client.count(), 1);
  await officialServes(scope, [relay.url], server);
});

scenario('half-open and abandoned connections', 120, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const open = (write) => new Promise((resolve, reject) => {
    const socket = connect(relay.port, '127.0.0.1', () => {
      if (write) socket.write(write);
      resolve(socket);
    });
    socket.on('error', reject);
    scope.defer(() => socket.destroy());
  });
  for (let i = 0; i < 20; i++) {
    await open(); // never speaks
    await open('GET / HTTP/1.1\r\nHost: half'); // never ends its request
    (await open('GET / HTTP/1.1\r\n')).resetAndDestroy();
    (await open(`\0\x01${'x'.repeat(5000)}\r\n\r\n`)).end();
    (await RawClient.connect(scope, relay.url, server.pubkey)).socket._socket.resetAndDestroy();
    (await RawClient.connect(scope, relay.url, server.pubkey)).socket._socket.pause();
  }
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  for (let n = 1; n <= 20; n++) assert.equal(await client.count(), n);
  await officialServes(scope, [relay.url], server);
});

scenario('a client that goes away in the middle of its call', 60, async (scope) => {
  const { relay, server } = await startBoth(scope);
  for (let i = 0; i < 10; i++) {
    const client = await RawClient.connect(scope, relay.url, server.pubkey);
    await client.hold('sleep', { ms: 200 });
    client.close();
  }
  await officialServes(scope, [relay.url], server);
});

scenario('a mute and an absent relay beside a good one', 90, async (scope) => {
  const relay = await startRelay(scope);
  const mute = await startMute(scope);
  const server = await startServer(scope, { relays: [mute, 'ws://127.0.0.1:9', relay.url] });
  await eventuallyServes(scope, relay.url, server.pubkey);
});

scenario('the relay is killed and restarted under load', 180, async (scope) => {
  const first = await startRelay(scope);
  const server = await startServer(scope, { relays: [first.url] });
  const official = await connectClient(scope, { relays: [first.url], server: server.pubkey });
  let stop = false;
  const load = Array.from({ length: 5 }, async () => {
    let served = 0;
    while (!stop) {
      await eventuallyServes(scope, first.url, server.pubkey);
      served++;
    }
    return served;
  });
  let relay = first;
  for (let round = 0; round < 2; round++) {
    await eventuallyServes(scope, first.url, server.pubkey);
    await relay.kill();
    relay = await startRelay(scope, { port: first.port });
    assert.equal(relay.url, first.url);
    await eventuallyServes(scope, first.url, server.pubkey);
  }
  stop = true;
  for (const served of await Promise.all(load)) assert.ok(served > 0);
  await until('the official client recovers', 90_000, () =>
    callText(official, 'echo', { message: 'back' }, { timeout: 3000 }).catch(() => null));
});

scenario('a flood of bad events is reported, not repeated', 120, async (scope) => {
  const { liar, server, client } = await withLiar(scope);
  const before = server.log.length;
  const bad = withBadSignature(counting(client).event);
  for (let i = 0; i < 5000; i++) {
    const id = i.toString(16).padStart(64, '0');
    liar.tell(i % 2 ? { ...bad, id } : bad, server.pubkey);
  }
  await until('the log tells', 30_000, () => server.log.length > before);
  await eventuallyServes(scope, liar.url, server.pubkey);
  const lines = server.log.slice(before).split('\n').length - 1;
  assert.ok(lines <= LOG_LINES_MAX, `${lines} lines for 5000 bad events`);
});
