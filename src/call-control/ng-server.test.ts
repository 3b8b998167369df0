import { createSocket, type Socket } from 'node:dgram';
import fc from 'fast-check';
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
const CALL = '7:call-id1:c8:from-tag1:A';
const DELETE = `d7:command6:delete${CALL}e`;
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
    expect(control.server.repeated).toBe(1);
    // Another command is none that comes again, even if another proxy behind that address has the same cookie.
    expect(await asker.ask('c1 d7:command4:liste', port)).toBe('c1 d5:callsl1:ce6:result2:oke');
    expect(await asker.ask(`c1 ${DELETE}`, port)).toContain('6:result2:ok');
    expect(await asker.ask(`c1 ${OFFER}`, port)).toBe(first);
    expect(control.calls.size).toBe(0);
    // Long after that it is a new one.
    clock.nowMs += 30_000;
    expect(await asker.ask(`c1 ${OFFER}`, port)).toContain('6:result2:ok');
    expect(control.calls.size).toBe(1);
  });

  it('never answers more than a datagram can bear', async () => {
    const { control } = await relay();
    const ask = (cookie: string, dictionary: string) =>
      control.server.answer(Buffer.from(`${cookie} ${dictionary}`, 'latin1'), '192.0.2.1') ?? '';
    const text = (value: string) => `${value.length}:${value}`;
    const call = (command: string, sdp: string) =>
      `d7:call-id1:c7:command${text(command)}8:from-tag1:A6:to-tag1:B3:sdp${text(sdp)}e`;
    // The relay's ports are longer than the party's.
    const long = (media: string) => `v=0\r\nc=IN IP4 1.1.1.1\r\n${media.repeat(32)}`;
    const filler = `a=${'x'.repeat(2017)}\r\n`;
    const offered = ask('1', call('offer', long(`m=audio 1 RTP/AVP 0\r\n${filler}`)));
    expect(offered).toMatch(/does not fit into a datagram6:result5:error/);
    const wordy = long(`m=audio 1 RTP/${'A'.repeat(600)} 0\r\n`);
    expect(ask('2', call('offer', wordy))).toContain('6:result2:ok');
    expect(ask('3', call('answer', wordy))).toContain('6:result2:ok');
    const ended = ask('4', call('delete', ''));
    expect(ended).toMatch(/6:result2:ok6:totalsd.*7:warning39:The answer does not fit/);
    expect(control.calls.size).toBe(0);
  });

  it('answers any bytes, or does not, and never fails', async () => {
    const { control } = await relay({ lastPort: 30_063 });
    const commands = [PING, OFFER, DELETE, 'd7:command4:liste', `d7:command5:query${CALL}e`];
    fc.assert(
      fc.property(
        fc.constantFrom(...commands),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(400),
        (command, changes, length) => {
          const bytes = Buffer.from(`c ${command}`, 'latin1').subarray(0, length + 20);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          const answer = control.server.answer(bytes, '192.0.2.1');
          if (answer !== undefined) expect(answer).toMatch(/6:result(2:ok|4:pong|5:error)/);
        },
      ),
      { numRuns: 3000 },
    );
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
      'x'.repeat(2017),
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
