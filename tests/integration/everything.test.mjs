// A real MCP server as backend, one process per client.
import assert from 'node:assert/strict';
import { everything } from './lib/backends.mjs';
import { callText, connectClient } from './lib/mcp.mjs';
import { startBoth } from './lib/programs.mjs';
import { scenario } from './lib/scenario.mjs';

// Fifty node processes on two cores, four starting at a time, perhaps under a sanitizer.
const START_MS = 180_000;

scenario('the reference server behind a relay', 120, async (scope) => {
  const { relay, server } = await startBoth(scope, { backend: everything });
  const client = await connectClient(scope, { relays: [relay.url], server: server.pubkey });
  assert.equal(client.getServerVersion().name, 'mcp-servers/everything');
  const names = (await client.listTools()).tools.map((tool) => tool.name);
  assert.ok(names.includes('echo') && names.includes('get-sum'), names.join());
  assert.equal(await callText(client, 'echo', { message: 'hi' }), 'Echo: hi');
  assert.match(await callText(client, 'get-sum', { a: 17, b: 25 }), /\b42\b/);
  await callText(client, 'trigger-long-running-operation', { duration: 0.4, steps: 4 },
    { onprogress: () => {} });
  assert.deepEqual(client.progress.map((p) => p.progress), [1, 2, 3, 4]);
  assert.ok((await client.listResources()).resources.length > 0);
  assert.ok((await client.listPrompts()).prompts.length > 0);
});

scenario('fifty clients, fifty processes, no mixed answers', 400, async (scope) => {
  const { relay, server } = await startBoth(scope,
    { backend: everything, args: ['--backend-max', '64', '--queue', '100'] });
  const one = async (n) => {
    const client = await connectClient(scope,
      { relays: [relay.url], server: server.pubkey, ms: START_MS });
    for (let i = 0; i < 3; i++) {
      const said = `client ${n} call ${i}`;
      const [echoed, sum] = await Promise.all([
        callText(client, 'echo', { message: said }, { timeout: START_MS }),
        callText(client, 'get-sum', { a: n * 1000, b: i }, { timeout: START_MS }),
      ]);
      assert.equal(echoed, `Echo: ${said}`);
      assert.ok(sum.includes(` is ${n * 1000 + i}.`), sum);
    }
  };
  await Promise.all(Array.from({ length: 50 }, (_, n) => one(n)));
});
