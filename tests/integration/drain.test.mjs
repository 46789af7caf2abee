// SIGTERM: what runs is answered, what comes is not taken, and the second signal ends at once.
import assert from 'node:assert/strict';
import { RawClient, eventuallyServes } from './lib/nostr.mjs';
import { newKey, startBoth, startRelay, startServer } from './lib/programs.mjs';
import { scenario, until, within } from './lib/scenario.mjs';

const HELD_MS = 1500;

/** The server stops while `holds` run; `late` asks meanwhile. Returns the account of the run. */
async function drainWith(server, holds, late) {
  const stopped = server.stopAndCount();
  stopped.catch(() => {});
  await until('the drain', 10_000, () => server.log.includes('msg=draining'));
  const said = await late.tool('count', {}, { ms: 10_000 });
  assert.equal(said.error?.code, -32000, `not refused while draining: ${JSON.stringify(said)}`);
  for (const { answer } of holds) {
    assert.equal((await answer).result?.content[0].text, `slept ${HELD_MS}`);
  }
  const account = await stopped;
  return account;
}

scenario('running calls are answered, new ones are not taken', 60, async (scope) => {
  const relay = await startRelay(scope);
  const key = newKey(scope);
  const server = await startServer(scope, { relays: [relay.url], key });
  const clients = await Promise.all([1, 2, 3].map(() =>
    RawClient.connect(scope, relay.url, server.pubkey)));
  const [a, b, late] = clients;
  const holds = [await a.hold('sleep', { ms: HELD_MS }), await b.hold('sleep', { ms: HELD_MS })];
  assert.equal(await late.count(), 1);

  const account = await drainWith(server, holds, late);
  assert.equal(account.request.abandoned, 0);
  assert.equal(account.request.answered, account.request.requests);
  assert.equal(account.request.requests, 5, 'two sleeps, two whoami, one count');
  assert.equal(account.admission.active, 0);
  assert.equal(account.admission.shutdown, account.admission.admitted);
  clients.forEach((client) => client.check());
  assert.deepEqual(late.strays, []);

  // The relay does not mind, and the next server with this key is served by it.
  const next = await startServer(scope, { relays: [relay.url], key });
  assert.equal(next.pubkey, server.pubkey);
  await eventuallyServes(scope, relay.url, next.pubkey);
});

scenario('running calls over the embedded relay are answered before it closes', 60,
  async (scope) => {
    const server = await startServer(scope, { args: ['--embedded-relay', '127.0.0.1:0'] });
    const [url] = server.event.relays;
    const clients = await Promise.all(Array.from({ length: 9 }, () =>
      RawClient.connect(scope, url, server.pubkey)));
    const late = clients.pop();
    const holds = await Promise.all(clients.map((client) => client.hold('sleep', { ms: HELD_MS })));

    const account = await drainWith(server, holds, late);
    assert.equal(account.request.abandoned, 0);
    assert.equal(account.request.answered, 2 * holds.length);
    clients.forEach((client) => client.check());
  });

scenario('a call that does not end in time is answered with an error', 90, async (scope) => {
  const server = await startServer(scope, { args: ['--embedded-relay', '127.0.0.1:0'] });
  const [url] = server.event.relays;
  const client = await RawClient.connect(scope, url, server.pubkey);
  const held = await client.hold('sleep', { ms: 3_600_000 }, { id: 'endless' });
  const stopped = server.stopAndCount();
  stopped.catch(() => {});
  const { error } = await held.answer;
  assert.deepEqual(error, { code: -32603, message: 'Server is shutting down' });
  const account = await stopped;
  assert.match(server.log, /msg="clients were still busy at the end of the drain"/);
  assert.equal(account.request.failed, 1);
  assert.equal(account.request.abandoned, 0);
  assert.equal(account.admission.active, 0);
  client.check();
});

scenario('the second signal ends at once', 60, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  const held = await client.hold('sleep', { ms: 20_000 });
  server.child.kill('SIGTERM');
  await until('the drain', 10_000, () => server.log.includes('msg=draining'));
  // Signals within 200 ms of each other are one wish, so this one may have to be repeated.
  await until('the end after the second signal', 5000, () => {
    server.child.kill('SIGTERM');
    return server.child.exitCode !== null;
  });
  const account = await server.stopAndCount();
  assert.match(server.log, /msg="second signal: ending at once"/);
  assert.equal(account.request.abandoned, 1);
  assert.equal(account.request.requests, 2);
  assert.equal(account.request.answered, 1, 'whoami');
  client.close();
  held.answer.catch(() => {});
});

scenario('with nothing to do it ends without waiting', 60, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  assert.equal(await client.count(), 1);
  const account = await within('the end of an idle server', 10_000, server.stopAndCount());
  assert.equal(account.request.answered, 1);
  assert.doesNotMatch(server.log, /second signal|still busy/);
  assert.match(server.log, /msg=draining worker=\d+/, 'lines of workers carry their number');
});
