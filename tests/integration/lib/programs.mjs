// Starts the troupe program, waits for its ready line, collects its log and ends it.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from './scenario.mjs';

const TROUPE = process.env.TROUPE_BIN;
if (!TROUPE) throw new Error('TROUPE_BIN must name the troupe executable');

const READY_MS = 30_000;
const STOP_MS = 30_000;
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const LOG_TAIL = 6000;
const SANITIZER = /(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:/;

const running = new Set();
const scratches = new Set();
const discard = (dir) => rmSync(dir, { recursive: true, force: true });
process.on('exit', () => {
  running.forEach((child) => child.kill('SIGKILL'));
  scratches.forEach(discard);
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => process.exit(1));

class Program {
  constructor(args) {
    this.args = args;
    this.log = '';
    this.logBytes = 0;
    this.killed = false;
    this.child = spawn(TROUPE, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => resolve({ code: null, signal: String(error) }));
      this.child.on('exit', (code, signal) => resolve({ code, signal }));
    }).finally(() => running.delete(this.child));
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.logBytes += text.length;
      if (this.log.length < LOG_BYTES_MAX) this.log += text;
    });
  }

  get pid() {
    return this.child.pid;
  }

  /** The first line of standard output, parsed; it must be the ready line. */
  async ready() {
    const line = new Promise((resolve) => {
      let text = '';
      this.child.stdout.setEncoding('utf8').on('data', (part) => {
        text += part;
        if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
      });
    });
    const ended = this.exited.then(({ code, signal }) => {
      throw new Error(`ended before it was ready: code ${code}, ${signal}\n${this.log}`);
    });
    const event = JSON.parse(await within(`ready: ${this.args.join(' ')}`, READY_MS,
      Promise.race([line, ended])));
    assert.equal(event.event, 'ready');
    return event;
  }

  /** SIGTERM, then exit code 0 and a log without sanitizer reports. */
  async stop() {
    this.child.kill('SIGTERM');
    const { code, signal } = await within(`stop: ${this.args.join(' ')}`, STOP_MS, this.exited);
    assert.doesNotMatch(this.log, SANITIZER);
    assert.deepEqual({ code, signal }, { code: 0, signal: null });
  }

  /**
   * Stops a server and returns the account of its run that it logs at the end:
   * { admission: { active_peak: ... }, request: { answered: ... } }
   */
  async stopAndCount() {
    await this.stop();
    this.killed = true;
    const account = {};
    for (const [, name, fields] of this.log.matchAll(/msg="(\w+) counters" (.*)$/gm)) {
      account[name] = Object.fromEntries(
        [...fields.matchAll(/(\w+)=(\d+)/g)].map(([, key, value]) => [key, Number(value)]));
    }
    assert.ok(account.admission && account.request, 'no account in the log');
    return account;
  }

  /** SIGKILL; returns when the process is gone. */
  async kill() {
    this.killed = true;
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** Starts `troupe ARGS`; the ready event's members are members of the result. */
async function start(scope, args) {
  const program = new Program(args);
  scope.defer(async ({ failed }) => {
    try {
      if (!failed && !program.killed) await program.stop();
    } finally {
      await program.kill();
      if (failed) console.error(`--- log of ${args.join(' ')}\n${program.log.slice(-LOG_TAIL)}`);
    }
  });
  program.event = await program.ready();
  return program;
}

/** A directory of its own for the test, removed at the end. */
export function scratch(scope) {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-it-'));
  scratches.add(dir);
  scope.defer(() => discard(dir));
  return dir;
}

/** `troupe relay`; `url` is where it listens, `port` 0 lets it choose. */
export async function startRelay(scope, { port = 0 } = {}) {
  const relay = await start(scope, ['relay', '--listen', `127.0.0.1:${port}`]);
  relay.url = relay.event.relays[0];
  relay.port = Number(new URL(relay.url).port);
  return relay;
}

/** A new server key file. */
export function newKey(scope) {
  const file = join(scratch(scope), 'server.key');
  execFileSync(TROUPE, ['key', 'new', '--key', file], { stdio: 'ignore', timeout: READY_MS });
  return file;
}

/** `troupe serve` with a key of its own unless `key` is given; `pubkey` is its identity. */
export async function startServer(scope, options) {
  const { relays = [], backend = 'builtin:demo', key, args = [] } = options;
  const server = await start(scope, [
    'serve', '--key', key ?? newKey(scope), '--encryption', 'disabled', '--backend', backend,
    ...relays.flatMap((url) => ['--relay', url]), ...args,
  ]);
  server.pubkey = server.event.pubkey;
  assert.match(server.pubkey, /^[0-9a-f]{64}$/);
  return server;
}

/** A relay and a server behind it. */
export async function startBoth(scope, options = {}) {
  const relay = await startRelay(scope);
  const server = await startServer(scope, { ...options, relays: [relay.url] });
  return { relay, server };
}
