// A stdio MCP server with one bad habit, named by the first argument. Plain lines, no library.
//   good     answers every call with "ok N", N counting from 1
//   hang     never answers a tool call
//   die      exits on a tool call
//   garbage  writes lines that are no JSON-RPC before every answer
//   binary   writes bytes that are no UTF-8 and a very long line before every answer
//   fork     starts a child and a child in its own session, and appends all pids to argument 2
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [habit, file] = process.argv.slice(2);
const SLEEPER = 'setInterval(() => {}, 1000)';
let calls = 0;

function answer(id, result) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
}

function misbehave() {
  if (habit === 'die') process.exit(3);
  if (habit === 'garbage') {
    process.stdout.write('Listening on nothing\n{"jsonrpc":"2.0","id":\n[1,2\n"text"\nnull\n');
    process.stdout.write('{"jsonrpc":"2.0","id":999999999,"result":{}}\n\n{}\n[]\n');
  }
  if (habit === 'binary') {
    process.stdout.write(Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a]));
    process.stdout.write(`${'x'.repeat(300_000)}\n`);
  }
}

function take(message) {
  if (message.id === undefined) return;
  if (message.method === 'initialize') {
    answer(message.id, {
      protocolVersion: message.params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: habit, version: '1' },
    });
  } else if (message.method === 'tools/list') {
    answer(message.id, { tools: [{ name: 'do', inputSchema: { type: 'object' } }] });
  } else if (message.method === 'tools/call') {
    if (habit === 'hang') return;
    misbehave();
    answer(message.id, { content: [{ type: 'text', text: `ok ${++calls}` }] });
  } else {
    answer(message.id, {});
  }
}

if (habit === 'fork') {
  const child = spawn(process.execPath, ['-e', SLEEPER], { stdio: 'ignore' });
  const away = spawn(process.execPath, ['-e', SLEEPER], { stdio: 'ignore', detached: true });
  appendFileSync(file, `${process.pid}\n${child.pid}\n${away.pid}\n`);
}
createInterface({ input: process.stdin })
  .on('line', (line) => take(JSON.parse(line)))
  .on('close', () => process.exit(0));
