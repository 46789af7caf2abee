// Backends with bad habits, and a server that is killed: nothing stays behind.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { habit } from './lib/backends.mjs';
import { RawClient } from './lib/nostr.mjs';
import { newKey, scratch, startBoth, startServer } from './lib/programs.mjs';
import { scenario, until } from './lib/scenario.mjs';

const INTERNAL = -32603;

/** A zombie is no longer a running process. */
function isRunning(pid) {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const pidsIn = (file) => existsSync(file)
  ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];

/** Waits until all are gone; what is left is killed, so that a failure leaves nothing either. */
async function assertGone(pids) {
  try {
    await until(`end of processes ${pids}`, 20_000, () => !pids.some(isRunning));
  } finally {
    pids.filter(isRunning).forEach((pid) => process.kill(pid, 'SIGKILL'));
  }
}

for (const name of ['good', 'garbage', 'binary']) {
  scenario(`backend habit: ${name}`, 90, async (scope) => {
    const { relay, server } = await startBoth(scope, { backend: habit(name) });
    const [a, b] = await Promise.all([0, 1].map(() =>
      RawClient.connect(scope, relay.url, server.pubkey)));
    for (const client of [a, b]) {
      assert.ok((await client.initialize()).result);
      const answer = await client.tool('do');
      // A line over every limit may cost the backend its life, but never the client its answer.
      if (name === 'binary' && answer.error) assert.equal(answer.error.code, INTERNAL);
      else assert.equal(answer.result?.content[0].text, 'ok 1', JSON.stringify(answer));
      if (name === 'good') assert.equal(await client.text('do'), 'ok 2');
    }
    if (name !== 'good') assert.ok(server.log.length > 0, 'the log says so');
    a.check();
    b.check();
  });
}

scenario('a hung backend does not stop other clients', 90, async (scope) => {
  const { relay, server } = await startBoth(scope,
    { backend: habit('hang'), args: ['--route-timeout', '3'] });
  const [a, b] = await Promise.all([0, 1].map(() =>
    RawClient.connect(scope, relay.url, server.pubkey)));
  assert.ok((await a.initialize()).result);
  const hung = a.tool('do');
  let ended = false;
  hung.then(() => { ended = true; }, () => {});
  assert.ok((await a.request('ping')).result, 'even its own other requests are answered');
  assert.ok((await b.initialize()).result);
  for (let i = 0; i < 10; i++) assert.ok((await b.request('ping')).result);
  assert.equal(ended, false);
  assert.equal((await hung).error?.code, INTERNAL);
  a.check();
  b.check();
});

scenario('a command that does not exist', 90, async (scope) => {
  const { relay, server } = await startBoth(scope, { backend: 'stdio:/nonexistent/command' });
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  const answer = await client.initialize();
  assert.ok(answer.error, JSON.stringify(answer));
  assert.match(server.log, /nonexistent/);
  client.check();
});

async function withForks(scope, options) {
  const file = join(scratch(scope), 'pids');
  const server = await startServer(scope, {
    ...options, backend: habit('fork', file), args: options.args });
  const url = server.event.relays[0];
  const clients = await Promise.all([0, 1, 2].map(() =>
    RawClient.connect(scope, url, server.pubkey)));
  for (const client of clients) assert.equal((await client.text('do')), 'ok 1');
  const pids = await until('three processes of three clients', 30_000, () => {
    const found = pidsIn(file);
    return found.length === 9 && found;
  });
  assert.ok(pids.every(isRunning));
  return { server, url, clients, pids };
}

scenario('a stop leaves no process', 90, async (scope) => {
  const { server, pids } = await withForks(scope, { args: ['--embedded-relay', '127.0.0.1:0'] });
  await server.stop();
  await assertGone(pids);
});

scenario('kill -9 leaves no process, and the same ports work at once', 120, async (scope) => {
  const key = newKey(scope);
  const args = ['--embedded-relay', '127.0.0.1:0'];
  const { server, url, pids } = await withForks(scope, { key, args });
  await server.kill();
  const again = await startServer(scope, {
    key, args: ['--embedded-relay', `127.0.0.1:${new URL(url).port}`] });
  assert.equal(again.pubkey, server.pubkey);
  assert.deepEqual(again.event.relays, [url]);
  const client = await RawClient.connect(scope, url, again.pubkey);
  assert.equal(await client.text('echo', { message: 'again' }), 'again');
  await assertGone(pids);
});

scenario('the processes of a client that was evicted are ended', 90, async (scope) => {
  const { url, server, pids } = await withForks(scope,
    { args: ['--embedded-relay', '127.0.0.1:0', '--capacity', '3'] });
  const fourth = await RawClient.connect(scope, url, server.pubkey);
  assert.equal(await fourth.text('do'), 'ok 1');
  // The first client's were started first. A grandchild in its own session may live on for now.
  await assertGone(pids.slice(0, 2));
  assert.ok(pids.slice(3).every(isRunning), 'the other clients keep theirs');
  fourth.check();
});
