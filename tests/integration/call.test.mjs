// What people and scripts see of the program: `troupe call`, keys, ready lines, exit codes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { RawClient, generateSecretKey, getPublicKey } from './lib/nostr.mjs';
import { newKey, scratch, startBoth, startServer } from './lib/programs.mjs';
import { scenario, until } from './lib/scenario.mjs';

const LIMIT_MS = 60_000;
const HEX = /^[0-9a-f]{64}$/;
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('TROUPE_')));

/** Runs `troupe ARGS` to its end: { code, stdout, stderr }. */
function run(...args) {
  return new Promise((resolve, reject) => {
    execFile(process.env.TROUPE_BIN, args, { timeout: LIMIT_MS, env: environment },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error);
        else resolve({ code: error?.code ?? 0, stdout, stderr });
      });
  });
}

const callTo = ({ relay, server }) => (...args) =>
  run('call', '--relay', relay.url, '--server', server.pubkey, ...args);

/** It succeeded with one line of JSON, which is returned. */
function resultOf({ code, stdout, stderr }) {
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^[^\n]+\n$/);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

function assertFails({ code, stdout, stderr }, wanted, pattern) {
  assert.match(stderr, pattern);
  assert.equal(code, wanted, stderr);
  assert.equal(stdout, '');
}

/** A port where nobody listens. */
async function closedPort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

scenario('results go to standard output, as one line of JSON', 60, async (scope) => {
  const both = await startBoth(scope);
  const call = callTo(both);
  const { tools } = resultOf(await call('tools/list'));
  for (const name of ['echo', 'sleep', 'add', 'count', 'whoami', 'progress', 'fail']) {
    assert.ok(tools.some((tool) => tool.name === name), `no ${name}`);
  }
  const message = 'Grüße, "Welt" \\ \n';
  const tool = (name, args) => call('tools/call', JSON.stringify({ name, arguments: args }));
  assert.equal(resultOf(await tool('echo', { message })).content[0].text, message);
  assert.equal(resultOf(await tool('progress', { steps: 3, ms: 10 })).isError ?? false, false);
  // A tool's own failure is a result of the call.
  assert.equal(resultOf(await tool('fail', {})).isError, true);
  assert.ok(resultOf(await call('initialize',
    '{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}'))
    .serverInfo);
});

scenario('with a key the caller is that client, without one somebody new', 60, async (scope) => {
  const both = await startBoth(scope);
  const call = callTo(both);
  const whoami = async (...args) => JSON.parse(resultOf(
    await call(...args, 'tools/call', '{"name":"whoami","arguments":{}}')).content[0].text).client;
  const key = newKey(scope);
  const pubkey = (await run('key', 'show', '--key', key)).stdout.trim();
  assert.match(pubkey, HEX);
  // Within one second, with texts that are alike: each run is answered.
  for (let i = 0; i < 4; i++) assert.equal(await whoami('--key', key), pubkey);
  const [one, other] = [await whoami(), await whoami()];
  assert.match(one, HEX);
  assert.notEqual(one, other);
});

scenario('errors of the server go to standard error, exit 1', 60, async (scope) => {
  const both = await startBoth(scope);
  const call = callTo(both);
  for (const args of [['no/such/method'], ['tools/call', '{"name":5}'], ['tools/call']]) {
    const { code, stdout, stderr } = await call(...args);
    assert.equal(code, 1, stderr);
    assert.equal(stdout, '');
    const error = JSON.parse(stderr);
    assert.ok(Number.isInteger(error.code) && error.message.length > 0, stderr);
  }
});

scenario('what cannot be sent is refused before anything is sent, exit 2', 60, async () => {
  const call = (...args) =>
    run('call', '--relay', 'ws://127.0.0.1:1', '--server', 'ab'.repeat(32), ...args);
  for (const params of ['{', '{"a":}', 'hello', '3', 'null', '"text"', '{} {}']) {
    assertFails(await call('tools/call', params), 2, /^troupe call: PARAMS-JSON: \S/);
  }
  assertFails(await call(), 2, /a method is required/);
  assertFails(await call('a', '{}', 'b'), 2, /unexpected argument "b"/);
  assertFails(await run('call', '--relay', 'ws://127.0.0.1:1', 'ping'), 2, /--server HEX is/);
  assertFails(await run('call', '--server', 'ab'.repeat(32), 'ping'), 2, /one --relay URL is/);
  assertFails(await call('--server', 'abc', 'ping'), 2, /64 hex digits/);
});

scenario('nobody there: it says so and exits 1', 90, async (scope) => {
  const url = `ws://127.0.0.1:${await closedPort()}`;
  const nobody = getPublicKey(generateSecretKey());
  assertFails(await run('call', '--relay', url, '--server', nobody, 'ping'), 1,
    /^troupe call: no connection to the relay .+\n$/);
  const { relay } = await startBoth(scope);
  assertFails(
    await run('call', '--relay', relay.url, '--server', nobody, '--timeout', '1', 'ping'), 1,
    /^troupe call: no answer within the time given\n$/);
});

scenario('ready lines say what there is and nothing else', 60, async (scope) => {
  const key = newKey(scope);
  const pubkey = (await run('key', 'show', '--key', key)).stdout.trim();
  const both = await startBoth(scope, { key, args: ['--workers', '2'] });
  assert.deepEqual(both.server.event,
    { event: 'ready', pubkey, relays: [both.relay.url], workers: 2 });
  const { workers, ...rest } = both.relay.event;
  assert.deepEqual(rest, { event: 'ready', relays: [both.relay.url] });
  assert.ok(Number.isInteger(workers) && workers >= 1);
  assert.match(both.relay.url, /^ws:\/\/127\.0\.0\.1:[1-9]\d*$/);

  const embedding = await startServer(scope,
    { key, relays: [both.relay.url], args: ['--embedded-relay', '127.0.0.1:0'] });
  const { relays } = embedding.event;
  assert.equal(relays.length, 2, 'its own relay and the other');
  assert.match(relays[0], /^ws:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(relays[1], both.relay.url);
});

scenario('keys: made once, for the owner only, never used when others can read them', 60,
  async (scope) => {
    const file = join(scratch(scope), 'key');
    const made = await run('key', 'new', '--key', file);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout.trim(), HEX);
    assert.equal(statSync(file).mode & 0o7777, 0o600);
    const secret = readFileSync(file, 'utf8');
    assert.match(secret, /^[0-9a-f]{64}\n$/);
    assert.equal((await run('key', 'show', '--key', file)).stdout, made.stdout);
    assertFails(await run('key', 'new', '--key', file), 1, /exists already and is not overwritten/);
    assert.equal(readFileSync(file, 'utf8'), secret);

    chmodSync(file, 0o640);
    const advice = /has mode 0640: others may use it; run: chmod 600/;
    const target = ['--relay', 'ws://127.0.0.1:1'];
    assertFails(await run('key', 'show', '--key', file), 1, advice);
    assertFails(await run('serve', '--key', file, ...target), 1, advice);
    assertFails(
      await run('call', '--key', file, ...target, '--server', 'ab'.repeat(32), 'ping'), 1, advice);
    assertFails(await run('key', 'show', '--key', secret.trim()), 2, /not the key itself/);
  });

scenario('what is not there yet says so, exit 2', 60, async () => {
  const serve = ['serve', '--relay', 'ws://127.0.0.1:1'];
  const call = ['call', '--relay', 'ws://127.0.0.1:1', '--server', 'ab'.repeat(32), 'ping'];
  const later = [
    [...serve, '-c', 'troupe.yaml'], [...serve, '--http', '127.0.0.1:0'],
    [...serve, '--uds', 'socket'], [...serve, '--grpc', '127.0.0.1:0'],
    [...serve, '--admin', '127.0.0.1:0'], [...serve, '--stdio'],
    [...serve, '--encryption', 'required'], [...serve, '--backend', 'builtin:conformance'],
    [...serve, '--backend', 'pool:x'], [...serve, '--backend', 'uds:x'],
    ['serve', '--relay', 'wss://127.0.0.1:1'],
    [...call, '--http', 'http://127.0.0.1:1/mcp'], [...call, '--uds', 'socket'],
    ['worker', '--sock', 'socket'], ['connector'], ['subscribe'],
  ];
  for (const args of later) assertFails(await run(...args), 2, /not available yet/);
});

scenario('the log tells an operator who was refused and who had to leave', 60, async (scope) => {
  const both = await startBoth(scope,
    { args: ['--capacity', '1', '--queue', '0', '--client-routes', '1', '--client-backlog', '0',
      '--log-level', 'debug'] });
  const clients = await Promise.all([1, 2].map(() =>
    RawClient.connect(scope, both.relay.url, both.server.pubkey)));
  const [a, b] = clients;
  const line = (text) => until(text, 10_000, () => both.server.log.includes(text));
  const shown = (client) => `client=${client.pubkey.slice(0, 8)}`;
  assert.equal(await a.count(), 1);
  assert.equal(await b.count(), 1);
  await line(`${shown(a)} reason=evicted`);
  const held = a.tool('sleep', { ms: 1500 }); // b leaves for it
  await line(`${shown(b)} reason=evicted`);
  // None may wait: with one running the next is refused at once.
  await until('a second call is refused', 1000, async () => (await a.tool('count')).error);
  await line(`${shown(a)} reason="the client has too many requests"`);
  assert.equal((await b.tool('count')).error.code, -32000);
  await line(`${shown(b)} reason="no place for the client"`);
  assert.equal((await held).result.content[0].text, 'slept 1500');
  clients.forEach((client) => client.check());
});
