// A client stays on one worker for its whole stay; many clients use all workers.
import assert from 'node:assert/strict';
import { callText, connectClient } from './lib/mcp.mjs';
import { RawClient } from './lib/nostr.mjs';
import { startBoth } from './lib/programs.mjs';
import { scenario } from './lib/scenario.mjs';

const args = ['--workers', '2'];

scenario('an official client keeps its worker and its instance', 60, async (scope) => {
  const { relay, server } = await startBoth(scope, { args });
  assert.equal(server.event.workers, 2);
  const client = await connectClient(scope, { relays: [relay.url], server: server.pubkey });
  const first = await callText(client, 'whoami');
  for (let i = 0; i < 20; i++) assert.equal(await callText(client, 'whoami'), first);
});

scenario('forty clients use both workers', 60, async (scope) => {
  const { relay, server } = await startBoth(scope, { args });
  const workers = new Set();
  await Promise.all(Array.from({ length: 40 }, async () => {
    const client = await RawClient.connect(scope, relay.url, server.pubkey);
    const first = await client.text('whoami');
    workers.add(JSON.parse(first).worker);
    for (let i = 0; i < 5; i++) assert.equal(await client.text('whoami'), first);
    client.check();
  }));
  assert.deepEqual([...workers].sort(), [0, 1]);
});
