// One end-to-end test: a body with a time limit, and everything it opened closed in reverse order.
import test from 'node:test';

/**
 * Runs `body(scope)` as one test of at most `seconds`. `scope.defer(fn)` registers an end action,
 * called with `{failed}` in reverse order also after a failure or a timeout; an end action that
 * throws fails the test. Bodies must not rely on anything another test left behind.
 */
export function scenario(name, seconds, body) {
  test(name, { timeout: seconds * 1000 }, async (t) => {
    const ends = [];
    const scope = {
      defer: (fn) => ends.push(fn),
      note: (text) => t.diagnostic(text),
    };
    t.after(async () => {
      const failed = t.passed === false;
      let first = null;
      while (ends.length > 0) {
        try {
          await ends.pop()({ failed });
        } catch (error) {
          first ??= error;
        }
      }
      if (first) throw first;
    });
    await body(scope);
  });
}

/** Polls `probe` until it returns something truthy and returns that; throws after `ms`. */
export async function until(what, ms, probe) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Rejects when `promise` takes longer than `ms`. */
export function within(what, ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
