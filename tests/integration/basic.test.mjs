// The official client through a relay to the demo backend: every tool, every kind of answer.
import assert from 'node:assert/strict';
import { ErrorCode } from '@modelcontextprotocol/sdk/types.js';
import { callText, connectClient } from './lib/mcp.mjs';
import { RawClient } from './lib/nostr.mjs';
import { startBoth, startServer } from './lib/programs.mjs';
import { scenario } from './lib/scenario.mjs';

const TOOLS = ['add', 'count', 'echo', 'fail', 'progress', 'sleep', 'whoami'];

async function connected(scope) {
  const { relay, server } = await startBoth(scope);
  const client = await connectClient(scope, { relays: [relay.url], server: server.pubkey });
  return { relay, server, client };
}

scenario('initialize, ping and the list of tools', 60, async (scope) => {
  const { client } = await connected(scope);
  assert.ok(client.getServerVersion().name.length > 0);
  assert.ok(client.getServerCapabilities().tools);
  assert.deepEqual(await client.ping(), {});
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), TOOLS);
  for (const tool of tools) assert.equal(tool.inputSchema.type, 'object');
});

scenario('results of the demo tools', 60, async (scope) => {
  const { client } = await connected(scope);
  const odd = 'quote " backslash \\ line\nfeed tab\t nul-free \u0001 é 🙂 \u2028 </script>';
  assert.equal(await callText(client, 'echo', { message: 'hello' }), 'hello');
  assert.equal(await callText(client, 'echo', { message: odd }), odd);
  assert.equal(await callText(client, 'echo', { message: '' }), '');
  assert.equal(await callText(client, 'add', { a: 2, b: 40 }), '42');
  assert.equal(await callText(client, 'add', { a: -7, b: 3 }), '-4');
  assert.equal(await callText(client, 'sleep', { ms: 10 }), 'slept 10');
  assert.deepEqual(JSON.parse(await callText(client, 'count')), { count: 1 });
  assert.deepEqual(JSON.parse(await callText(client, 'count')), { count: 2 });
  const who = JSON.parse(await callText(client, 'whoami'));
  assert.equal(who.client, client.pubkey);
  assert.ok(Number.isInteger(who.worker) && who.worker >= 0);
  assert.ok(Number.isInteger(who.instance));
});

scenario('an echo of 20,000 characters', 60, async (scope) => {
  const { client } = await connected(scope);
  const message = 'Grüße 🙂 '.repeat(2000);
  assert.equal(await callText(client, 'echo', { message }), message);
});

scenario('fail is a result with isError, an unknown tool an error', 60, async (scope) => {
  const { client } = await connected(scope);
  const failed = await client.callTool({ name: 'fail', arguments: {} });
  assert.equal(failed.isError, true);
  const unknown = await client.callTool({ name: 'no-such-tool', arguments: {} }).catch((e) => e);
  if (unknown instanceof Error) assert.equal(unknown.code, ErrorCode.InvalidParams);
  else assert.equal(unknown.isError, true);
  await assert.rejects(client.request({ method: 'no/such/method' }, { parse: (x) => x }),
    { code: ErrorCode.MethodNotFound });
  assert.equal(await callText(client, 'echo', { message: 'goes on' }), 'goes on');
});

scenario('progress arrives under the caller\'s token, before the answer', 60, async (scope) => {
  const { relay, server, client } = await connected(scope);
  let reported = 0;
  await callText(client, 'progress', { steps: 5, ms: 50 }, { onprogress: () => reported++ });
  assert.deepEqual(client.progress.map((p) => p.progress), [1, 2, 3, 4, 5]);
  assert.ok(reported > 0, 'the SDK knew the token');
  const raw = await RawClient.connect(scope, relay.url, server.pubkey);
  for (const progressToken of [0, 'mine']) {
    raw.notifications = [];
    const signed = raw.sign('tools/call',
      { name: 'progress', arguments: { steps: 2, ms: 1 }, _meta: { progressToken } });
    const answer = await raw.send(signed);
    assert.ok(answer.result);
    assert.deepEqual(raw.notifications.map((n) => n.message.params.progressToken),
      [progressToken, progressToken]);
    assert.ok(raw.notifications.every((n) => n.about === signed.event.id));
  }
  raw.check();
});

scenario('the answer carries the request\'s id and its type', 60, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const raw = await RawClient.connect(scope, relay.url, server.pubkey);
  for (const id of [0, 7, 'seven', '7', 2 ** 40]) {
    assert.strictEqual((await raw.request('ping', {}, { id })).id, id);
  }
  raw.check();
});

scenario('a second initialize from one key starts afresh', 60, async (scope) => {
  const { relay, server } = await startBoth(scope);
  const raw = await RawClient.connect(scope, relay.url, server.pubkey);
  assert.equal(await raw.count(), 1, 'served without initialize');
  assert.equal(await raw.count(), 2);
  assert.ok((await raw.initialize()).result);
  assert.equal(await raw.count(), 1);
  raw.check();
});

scenario('the embedded relay', 60, async (scope) => {
  const server = await startServer(scope, { args: ['--embedded-relay', '127.0.0.1:0'] });
  const client = await connectClient(scope, { relays: server.event.relays, server: server.pubkey });
  assert.equal(await callText(client, 'echo', { message: 'inside' }), 'inside');
});
