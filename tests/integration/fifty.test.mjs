// Fifty official clients at once on the demo backend: each gets its own answers and only those.
import assert from 'node:assert/strict';
import { callText, connectClient } from './lib/mcp.mjs';
import { startBoth } from './lib/programs.mjs';
import { scenario } from './lib/scenario.mjs';

const CLIENTS = 50;

async function work(scope, relay, server, n) {
  const client = await connectClient(scope, { relays: [relay.url], server: server.pubkey });
  const steps = 2 + (n % 4);
  const calls = [
    callText(client, 'progress', { steps, ms: 2 }, { onprogress: () => {} }),
    callText(client, 'add', { a: n, b: 1000 }),
    callText(client, 'whoami'),
    ...Array.from({ length: 5 }, (_, i) => callText(client, 'echo', { message: `${n}/${i}` })),
  ];
  const [, sum, who, ...echoes] = await Promise.all(calls);
  assert.equal(sum, String(n + 1000));
  assert.equal(JSON.parse(who).client, client.pubkey);
  assert.deepEqual(echoes, Array.from({ length: 5 }, (_, i) => `${n}/${i}`));
  // All clients number their tokens alike, so a mixed-up token would show as a wrong count.
  assert.deepEqual(client.progress.map((p) => p.progress),
    Array.from({ length: steps }, (_, i) => i + 1));
  const counts = [];
  for (let i = 0; i < 3; i++) counts.push(JSON.parse(await callText(client, 'count')).count);
  assert.deepEqual(counts, [1, 2, 3]);
}

scenario('fifty clients at once', 180, async (scope) => {
  const { relay, server } = await startBoth(scope);
  await Promise.all(Array.from({ length: CLIENTS }, (_, n) => work(scope, relay, server, n)));
});
