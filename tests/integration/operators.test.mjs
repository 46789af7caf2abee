// What operators do to a server by accident.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { habit } from './lib/backends.mjs';
import { RawClient } from './lib/nostr.mjs';
import { newKey, startBoth, startRelay, startServer } from './lib/programs.mjs';
import { scenario, until, within } from './lib/scenario.mjs';

/** Running processes whose parent is `pid`, with their names. */
function childrenOf(pid) {
  const found = [];
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, name, state, parent] =
        readFileSync(`/proc/${entry}/stat`, 'utf8').match(/\((.*)\) (\S) (\d+)/s);
      if (Number(parent) === pid && state !== 'Z') found.push({ pid: Number(entry), name });
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}

const spawnerOf = (pid) => childrenOf(pid).find(({ name }) => name === 'troupe-spawner')?.pid;

const isGone = (pid) => {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
};

scenario('without its spawner a server drains and exits 1', 60, async (scope) => {
  const server = await startServer(scope,
    { backend: habit('good'), args: ['--embedded-relay', '127.0.0.1:0'] });
  const client = await RawClient.connect(scope, server.event.relays[0], server.pubkey);
  assert.equal(await client.text('do'), 'ok 1');
  process.kill(spawnerOf(server.pid), 'SIGKILL');
  assert.deepEqual(await within('the end', 40_000, server.exited), { code: 1, signal: null });
  server.killed = true;
  assert.match(server.log, /spawner ended/);
});

scenario('closed standard descriptors are not taken for sockets', 60, async (scope) => {
  const key = newKey(scope);
  const child = spawn('bash', ['-c', 'exec "$0" "$@" <&- >&- 2>&-', process.env.TROUPE_BIN,
    'serve', '--key', key, '--embedded-relay', '127.0.0.1:0', '--backend', habit('good')],
  { stdio: 'ignore' });
  scope.defer(() => child.kill('SIGKILL'));
  const spawner = await until('the spawner', 20_000, () => spawnerOf(child.pid));
  for (const fd of [0, 1, 2]) {
    assert.match(readFileSync(`/proc/${child.pid}/fdinfo/${fd}`, 'utf8'), /flags:/);
  }
  child.kill('SIGKILL');
  await until('the end of the spawner', 20_000, () => isGone(spawner));
});

scenario('--client-backlog 0 lets nobody wait', 60, async (scope) => {
  const { relay, server } = await startBoth(scope,
    { args: ['--client-backlog', '0', '--client-routes', '2'] });
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  const answers = await Promise.all(Array.from({ length: 10 }, () =>
    client.tool('sleep', { ms: 800 })));
  assert.equal(answers.filter(({ result }) => result).length, 2);
  assert.equal(answers.filter(({ error }) => error?.code === -32000).length, 8);
});

scenario('a shared backend serves all clients with one process', 90, async (scope) => {
  const { relay, server } = await startBoth(scope,
    { backend: habit('good'), args: ['--backend-mode', 'shared'] });
  const clients = await Promise.all(Array.from({ length: 5 }, () =>
    RawClient.connect(scope, relay.url, server.pubkey)));
  for (const client of clients) assert.ok((await client.initialize()).result);
  const texts = await Promise.all(clients.map((client) => client.text('do')));
  assert.deepEqual(texts.sort(), ['ok 1', 'ok 2', 'ok 3', 'ok 4', 'ok 5']);
  assert.equal(childrenOf(spawnerOf(server.pid)).length, 1);
  clients.forEach((client) => client.check());
});

scenario('a relay named twice is used once, SIGHUP does no harm', 60, async (scope) => {
  const relay = await startRelay(scope);
  const again = relay.url.replace('127.0.0.1', 'localhost');
  const server = await startServer(scope, { relays: [relay.url, `${relay.url}/`, again] });
  assert.deepEqual(server.event.relays, [relay.url]);
  process.kill(server.pid, 'SIGHUP');
  await until('the log line', 10_000, () => server.log.includes('signal ignored'));
  const client = await RawClient.connect(scope, relay.url, server.pubkey);
  assert.equal(await client.text('echo', { message: 'once' }), 'once');
  client.check();
});
