// TCP: a server that is there, one that is not, one whose backlog is full.

import { describe, expect, it } from 'vitest';
import { ask, closedPort, fullServer, rawServer, until } from './probe.harness.ts';

describe('the TCP probe', () => {
  it('passes when the server accepts, and lets go of the connection', async () => {
    const server = await rawServer(() => {});
    try {
      expect(await ask({}, server.port)).toMatchObject({ ok: true, detail: 'connected' });
      await until(() => server.open.size === 0);
    } finally {
      await server.close();
    }
  });

  it('says that the connection was refused', async () => {
    const result = await ask({}, await closedPort());
    expect(result).toMatchObject({ ok: false, detail: 'connection refused' });
  });

  it('says that there was no connection within the timeout', async () => {
    const server = await fullServer();
    try {
      const result = await ask({ timeoutMs: 300 }, server.port);
      expect(result).toMatchObject({ ok: false, detail: 'no connection within 300 ms' });
    } finally {
      server.close();
    }
  });

  it('speaks IPv6', async () => {
    const server = await rawServer(() => {}, '::1');
    try {
      expect(await ask({}, server.port, '::1')).toMatchObject({ ok: true });
    } finally {
      await server.close();
    }
  });
});
