// The official client: MCP TypeScript SDK over the ContextVM transport, without encryption.
import './quiet.mjs';
import assert from 'node:assert/strict';
import { EncryptionMode, PrivateKeySigner, NostrClientTransport } from '@contextvm/sdk';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { bytesToHex } from 'nostr-tools/utils';
import { generateSecretKey, getPublicKey } from './nostr.mjs';

/**
 * An initialized client with a key of its own; `pubkey` is its identity. Closed with the scope.
 *
 * `progress` collects every progress notification as it arrives. The SDK's own `onprogress` is no
 * exact witness: it forgets the handler at the answer, and calls it a moment after the message, so
 * progress that arrives in one batch with its answer is never reported there.
 */
export async function connectClient(scope, { relays, server, secretKey = generateSecretKey(),
  ms = 60_000 }) {
  const transport = new NostrClientTransport({
    signer: new PrivateKeySigner(bytesToHex(secretKey)),
    relayHandler: relays,
    serverPubkey: server,
    encryptionMode: EncryptionMode.DISABLED,
    logLevel: 'silent',
  });
  const client = new Client({ name: 'integration', version: '1.0.0' });
  scope.defer(() => client.close());
  await client.connect(transport, { timeout: ms });
  client.pubkey = getPublicKey(secretKey);
  client.progress = [];
  const deliver = transport.onmessage;
  transport.onmessage = (message, extra) => {
    if (message.method === 'notifications/progress') client.progress.push(message.params);
    deliver(message, extra);
  };
  return client;
}

/** Calls a tool that must succeed and returns its text. */
export async function callText(client, name, args = {}, options = {}) {
  const result = await client.callTool({ name, arguments: args }, undefined, options);
  assert.ok(!result.isError, `${name}: ${JSON.stringify(result.content)}`);
  return result.content[0].text;
}
