// Who gets in, who waits, who is refused, and that capacity always comes back.
import assert from 'node:assert/strict';
import { habit } from './lib/backends.mjs';
import { connectClient } from './lib/mcp.mjs';
import { RawClient } from './lib/nostr.mjs';
import { startBoth } from './lib/programs.mjs';
import { scenario, until } from './lib/scenario.mjs';

const BUSY = -32000;
const INTERNAL = -32603;
const one = ['--capacity', '1', '--queue', '0'];
const two = ['--capacity', '2', '--queue', '0'];

const raws = (scope, { relay, server }, n) => Promise.all(Array.from({ length: n }, () =>
  RawClient.connect(scope, relay.url, server.pubkey)));

function assertBusy(answer) {
  assert.equal(answer.error?.code, BUSY, JSON.stringify(answer));
  assert.match(answer.error.message, /^Server busy/);
  assert.ok(answer.error.data.retryAfterMs > 0);
}

/** The client is served in the end: refusals before that must be "busy". */
async function servedAfterBusy(client, ms = 30_000) {
  return until('capacity comes back', ms, async () => {
    const answer = await client.initialize();
    if (answer.error) assertBusy(answer);
    return answer.result;
  });
}

scenario('full of running calls: the next client is told to come back', 60, async (scope) => {
  const both = await startBoth(scope, { args: two });
  const [a, b, c] = await raws(scope, both, 3);
  const holdA = await a.hold('sleep', { ms: 3000 });
  const holdB = await b.hold('sleep', { ms: 3000 });
  for (const id of ['my own id', 0, 12]) assertBusy(await c.initialize({ id }));
  const official = connectClient(scope,
    { relays: [both.relay.url], server: both.server.pubkey });
  await assert.rejects(official, (error) => {
    assert.equal(error.code, BUSY);
    assert.match(error.message, /Server busy/);
    assert.ok(error.data.retryAfterMs > 0);
    return true;
  });
  assert.equal((await holdA.answer).result.content[0].text, 'slept 3000');
  assert.equal((await holdB.answer).result.content[0].text, 'slept 3000');
  await servedAfterBusy(c);
  [a, b, c].forEach((client) => client.check());
});

scenario('a refused client takes no slot', 60, async (scope) => {
  const both = await startBoth(scope, { args: two });
  const [a, b, ...rest] = await raws(scope, both, 8);
  const holdA = await a.hold('sleep', { ms: 3000 });
  assert.equal(await b.count(), 1);
  const holdB = await b.hold('sleep', { ms: 3000 });
  await Promise.all(rest.map(async (client) => assertBusy(await client.tool('count'))));
  await Promise.all([holdA.answer, holdB.answer]);
  // Nobody was let in since, so nobody was evicted: the instance of b still counts on.
  assert.equal(await b.count(), 2);
  rest.forEach((client) => client.check());
});

scenario('an idle client leaves for a newcomer and comes back afresh', 60, async (scope) => {
  const both = await startBoth(scope, { args: two });
  const [a, b, c] = await raws(scope, both, 3);
  assert.equal(await a.count(), 1);
  assert.equal(await a.count(), 2);
  assert.equal(await b.count(), 1);
  assert.equal(await c.count(), 1, 'a was idle longest and leaves for c');
  assert.equal(await b.count(), 2, 'b stayed');
  assert.equal(await a.count(), 1, 'a is served again, by a fresh instance, instead of c');
  assert.equal(await b.count(), 3);
  assert.equal(await c.count(), 1);
  [a, b, c].forEach((client) => client.check());
});

scenario('a running call protects the client that was idle longest', 60, async (scope) => {
  const both = await startBoth(scope, { args: two });
  const [a, b, c] = await raws(scope, both, 3);
  const hold = await a.hold('sleep', { ms: 2000 });
  assert.equal(await b.count(), 1);
  assert.equal(await c.count(), 1, 'b leaves, although a was active earlier');
  assert.equal((await hold.answer).result.content[0].text, 'slept 2000');
  assert.equal(await c.count(), 2);
  [a, b, c].forEach((client) => client.check());
});

scenario('a waiting client is served when a slot becomes free', 60, async (scope) => {
  // One worker takes everything in the order of arrival, so c comes after b for certain.
  const both = await startBoth(scope,
    { args: ['--capacity', '1', '--queue', '1', '--workers', '1'] });
  const [a, b, c] = await raws(scope, both, 3);
  const hold = await a.hold('sleep', { ms: 2000 });
  const first = b.sign('tools/call', { name: 'count', arguments: {} });
  const second = b.sign('tools/call', { name: 'count', arguments: {} });
  const answers = [b.answerTo(first), b.answerTo(second)];
  await b.publish(first.event);
  await b.publish(second.event);
  assertBusy(await c.tool('count'));
  assert.equal((await hold.answer).result.content[0].text, 'slept 2000');
  const counts = (await Promise.all(answers))
    .map((answer) => JSON.parse(answer.result.content[0].text).count);
  assert.deepEqual(counts, [1, 2], 'its requests kept their order');
  [a, b, c].forEach((client) => client.check());
});

scenario('capacity comes back after the idle timeout', 60, async (scope) => {
  const both = await startBoth(scope,
    { args: [...one, '--idle-timeout', '1', '--evict-min-idle', '3600'] });
  const [a, b] = await raws(scope, both, 2);
  const hold = await a.hold('sleep', { ms: 1500 });
  assertBusy(await b.initialize());
  assert.ok((await hold.answer).result);
  await servedAfterBusy(b);
  [a, b].forEach((client) => client.check());
});

scenario('a hung backend: the route ends with an error, the slot comes back', 90, async (scope) => {
  const both = await startBoth(scope,
    { backend: habit('hang'), args: [...one, '--route-timeout', '1'] });
  const [a, b] = await raws(scope, both, 2);
  assert.ok((await a.initialize()).result);
  const answer = await a.tool('do', {}, { id: 'hung' });
  assert.equal(answer.error?.code, INTERNAL, JSON.stringify(answer));
  await servedAfterBusy(b);
  [a, b].forEach((client) => client.check());
});

scenario('a backend that dies: an error for its calls, then service again', 120, async (scope) => {
  // Only the death gives the place back: nobody may be evicted for b.
  const args = [...one, '--evict-min-idle', '3600'];
  const both = await startBoth(scope, { backend: habit('die'), args });
  const [a, b] = await raws(scope, both, 2);
  assert.ok((await a.initialize()).result);
  const answer = await a.tool('do', {}, { id: 'dying' });
  assert.equal(answer.error?.code, INTERNAL, JSON.stringify(answer));
  // A crash so soon after the start delays the next start, so this may take a few attempts.
  await until('b served by a new process', 45_000, async () => (await b.initialize()).result);
  [a, b].forEach((client) => client.check());
});

async function crowd(scope, name, args) {
  const both = await startBoth(scope, { args: ['--capacity', '10', '--queue', '100'] });
  const clients = await raws(scope, both, 200);
  const tally = { served: 0, refused: 0 };
  const ask = async (client, request) => {
    const answer = await client.send(request);
    if (answer.error) assertBusy(answer);
    tally[answer.error ? 'refused' : 'served']++;
  };
  // Signed before the first is sent: the crowd shall come at once, not at the pace of signing.
  const requests = clients.map((client) => [
    client.sign('initialize', {
      protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' },
    }),
    client.sign('tools/call', { name, arguments: args }),
  ]);
  await Promise.all(clients.map((client, i) => ask(client, requests[i][0])));
  const afterStart = { ...tally };
  const start = performance.now();
  await Promise.all(clients.map((client, i) => ask(client, requests[i][1])));
  const elapsedMs = performance.now() - start;
  scope.note(`${name}: ${JSON.stringify(afterStart)}, then ${JSON.stringify(tally)}`);
  assert.equal(tally.served + tally.refused, 400);
  clients.forEach((client) => client.check());
  checkAccount(await both.server.stopAndCount(), tally);
  return { afterStart, tally, elapsedMs };
}

/** The server's own counters agree with what the clients saw. */
function checkAccount({ admission, request }, tally) {
  assert.ok(admission.active_peak <= 10, `capacity exceeded: ${admission.active_peak}`);
  assert.equal(admission.active_peak, 10);
  assert.equal(admission.active, 0);
  assert.equal(admission.admitted, admission.evicted + admission.idle_timeout + admission.left
    + admission.died + admission.shutdown);
  const refused = admission.refused_busy + admission.refused_timeout + admission.refused_shutdown;
  assert.equal(admission.delivered, admission.handled + admission.abandoned + refused);
  assert.equal(admission.handled, tally.served);
  assert.equal(refused, tally.refused);
  assert.equal(request.requests, tally.served);
  assert.equal(request.answered, tally.served);
}

scenario('200 clients on 10 places, short calls: each is answered', 120, async (scope) => {
  const { tally } = await crowd(scope, 'echo', { message: 'one of many' });
  assert.ok(tally.served >= 110);
});

scenario('200 clients on 10 places, long calls: served or refused', 120, async (scope) => {
  const ms = 700;
  const { afterStart, tally, elapsedMs } = await crowd(scope, 'sleep', { ms });
  const served = tally.served - afterStart.served;
  assert.ok(served >= 110, 'the places and the whole queue');
  assert.ok(tally.refused - afterStart.refused > 0, 'more than fit must be refused');
  // No bound on speed: ten at a time cannot be faster than this on any machine.
  assert.ok(elapsedMs > (served / 10) * ms * 0.99, 'more than ten calls ran at once');
});
