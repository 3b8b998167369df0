import { createSocket, type Socket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { RELAY_SETTINGS, TABLE_WORDS } from '../../test/support/relay-bench.ts';
import { MediaRelayControl } from './media-relay-control.ts';
import type { RelaySettings } from './settings.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

async function relay(settings: Partial<RelaySettings> = {}) {
  const messages: string[] = [];
  const log = { info: () => {}, warning: (message: string) => void messages.push(message) };
  const clock = { nowMs: 1000, wallMs: 1_700_000_000_000 };
  const words = new Int32Array(TABLE_WORDS);
  const all = { ...RELAY_SETTINGS, ...settings };
  const control = new MediaRelayControl(words, 1, all, log, () => clock);
  open.push(control);
  await control.start();
  return { control, clock, messages, port: control.server.port as number };
}

class Asker {
  private readonly socket: Socket = createSocket('udp4');
  private readonly answers: string[] = [];
  private waiting: ((answer: string) => void) | undefined;

  constructor() {
    open.push({ close: () => this.socket.close() });
    this.socket.on('message', (datagram) => {
      const text = datagram.toString('latin1');
      if (this.waiting === undefined) this.answers.push(text);
      else this.waiting(text);
      this.waiting = undefined;
    });
  }

  send(text: string, port: number): void {
    this.socket.send(Buffer.from(text, 'latin1'), port, '127.0.0.1');
  }

  ask(text: string, port: number): Promise<string> {
    this.send(text, port);
    const before = this.answers.shift();
    if (before !== undefined) return Promise.resolve(before);
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }
}

const PING = 'd7:command4:pinge';
const PONG = 'd6:result4:ponge';
const SDP = 'v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n';
const OFFER = `d7:call-id1:c7:command5:offer8:from-tag1:A3:sdp${SDP.length}:${SDP}e`;

describe('the ng server', () => {
  it('answers with the cookie that it was asked with', async () => {
    const { port } = await relay();
    expect(await new Asker().ask(`12_ab ${PING}`, port)).toBe(`12_ab ${PONG}`);
  });

  it('does a repeated command once, and answers it again', async () => {
    const { port, control, clock } = await relay();
    const asker = new Asker();
    const first = await asker.ask(`c1 ${OFFER}`, port);
    expect(first).toContain('6:result2:ok');
    expect(await asker.ask(`c1 ${OFFER}`, port)).toBe(first);
    expect(await asker.ask('c1 d7:command4:liste', port)).toBe(first);
    expect(control.server.repeated).toBe(2);
    expect(await asker.ask('c2 d7:command4:liste', port)).toBe('c2 d5:callsl1:ce6:result2:oke');
    // Long after that the cookie is anybody's.
    clock.nowMs += 30_000;
    expect(await asker.ask(`c1 ${PING}`, port)).toBe(`c1 ${PONG}`);
  });

  it('says that it could not read', async () => {
    const { port } = await relay();
    const answer = await new Asker().ask('c1 d7:comm', port);
    expect(answer).toBe('c1 d12:error-reason27:Could not decode dictionary6:result5:errore');
  });

  it('is silent to what has no cookie, and to whom it does not know', async () => {
    const { port, control } = await relay();
    const asker = new Asker();
    for (const text of [
      '',
      ' ',
      PING,
      ` ${PING}`,
      'x'.repeat(2000),
      `${'c'.repeat(300)} ${PING}`,
    ]) {
      asker.send(text, port);
    }
    expect(await asker.ask(`last ${PING}`, port)).toBe(`last ${PONG}`);
    expect(control.server.ignored.malformed).toBe(6);

    const closed = await relay({ ng: { address: '127.0.0.1', port: 0, allow: ['127.0.0.2'] } });
    asker.send(`c ${PING}`, closed.port);
    await expect.poll(() => closed.control.server.ignored.senders).toBe(1);
  });

  it('remembers no more than so many answers', async () => {
    const { control } = await relay();
    for (let i = 0; i < 20_000; i += 1) {
      control.server.answer(Buffer.from(`cookie${i} ${PING}`), '192.0.2.1');
    }
    expect(control.server.remembered).toBeLessThanOrEqual(8192);
  });

  it('tries again when the address is not there yet', async () => {
    const { control, messages } = await relay({
      ng: { address: '192.0.2.1', port: 2223, allow: [] },
    });
    expect(control.server.port).toBeUndefined();
    expect(messages[0]).toMatch(/cannot listen at UDP 192\.0\.2\.1:2223/);
  });
});
