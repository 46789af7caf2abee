// Server and clients on two relays: each request runs once, and one relay may go.
import assert from 'node:assert/strict';
import { callText, connectClient } from './lib/mcp.mjs';
import { RawClient, generateSecretKey } from './lib/nostr.mjs';
import { startRelay, startServer } from './lib/programs.mjs';
import { scenario } from './lib/scenario.mjs';

async function pair(scope) {
  const relays = [await startRelay(scope), await startRelay(scope)];
  const urls = relays.map((relay) => relay.url);
  const server = await startServer(scope, { relays: urls });
  return { relays, urls, server };
}

const count = async (client) => JSON.parse(await callText(client, 'count')).count;

scenario('requests that arrive over both relays run once', 120, async (scope) => {
  const { urls, server } = await pair(scope);
  const clients = await Promise.all(Array.from({ length: 5 }, () =>
    connectClient(scope, { relays: urls, server: server.pubkey })));
  await Promise.all(clients.map(async (client) => {
    for (let n = 1; n <= 20; n++) assert.equal(await count(client), n);
  }));
});

scenario('the same event on both relays has one answer', 60, async (scope) => {
  const { urls, server } = await pair(scope);
  const key = generateSecretKey();
  const [one, two] = await Promise.all(urls.map((url) =>
    RawClient.connect(scope, url, server.pubkey, key)));
  for (let n = 1; n <= 20; n++) {
    const signed = one.sign('tools/call', { name: 'count', arguments: {} });
    const answers = await Promise.all([one.send(signed), two.send(signed)]);
    for (const answer of answers) {
      assert.deepEqual(JSON.parse(answer.result.content[0].text), { count: n });
    }
  }
  one.check();
  two.check();
});

scenario('calls go on when one relay is killed', 120, async (scope) => {
  const { relays, urls, server } = await pair(scope);
  const client = await connectClient(scope, { relays: urls, server: server.pubkey });
  assert.equal(await count(client), 1);
  await relays[0].kill();
  for (let n = 2; n <= 10; n++) assert.equal(await count(client), n);
  const late = await RawClient.connect(scope, urls[1], server.pubkey);
  assert.equal(await late.text('echo', { message: 'new here' }), 'new here');
  late.check();
});

scenario('calls go on beside a relay that is frozen', 120, async (scope) => {
  const { relays, urls, server } = await pair(scope);
  const client = await RawClient.connect(scope, urls[1], server.pubkey);
  relays[0].child.kill('SIGSTOP');
  try {
    for (let n = 1; n <= 50; n++) assert.equal(await client.count(), n);
  } finally {
    relays[0].child.kill('SIGCONT');
  }
  client.check();
});
