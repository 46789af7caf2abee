// Backend options for `troupe serve`.
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Our own stdio server with a habit; see backend.mjs. */
export const habit = (name, ...args) =>
  `stdio:${[process.execPath, at('backend.mjs'), name, ...args].join(' ')}`;

/** The MCP project's reference server. */
export const everything = `stdio:${process.execPath} ${
  at('../node_modules/@modelcontextprotocol/server-everything/dist/index.js')} stdio`;
