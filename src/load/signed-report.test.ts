// The signed datagram: what is signed can be opened, every reason for which one is refused, the
// order of the steps, and random and mutated bytes, which must never do more than be refused.

import { Buffer } from 'node:buffer';
import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { isRejection, REJECTION_REASONS } from './rejections.ts';
import {
  type AgentReport,
  MAX_REPORT_BACKENDS,
  MAX_REPORT_BYTES,
  openReport,
  reportBytes,
  signReport,
} from './signed-report.ts';

const KEY = Buffer.alloc(32, 7);
const OTHER_KEY = Buffer.alloc(32, 8);
type KeysOf = (agent: string) => readonly Uint8Array[] | undefined;
const keysOf: KeysOf = (agent) => (agent === 'b1' ? [KEY] : undefined);
const REPORT: AgentReport = {
  agent: 'b1',
  bootId: '0123456789abcdef',
  sequence: 2 ** 52 + 12_345,
  wallClockMs: 1_790_000_000_123,
  backends: [
    { backend: 'web/b1', figures: { cpuUtilization: 0.25, clients: 12, executionTimeMs: 3.5 } },
    { backend: 'dns/b1', figures: {}, wish: { administrative: 'drain', reason: 'Größe' } },
  ],
};

/** Signs bytes that signReport would not make. */
function signed(content: string | Buffer, change?: (unsigned: Buffer) => void, key = KEY): Buffer {
  const body = Buffer.from(content);
  const head = signReport({ ...REPORT, backends: [] }, KEY).subarray(0, 34);
  const unsigned = Buffer.concat([head, body]);
  unsigned.writeUInt16BE(body.length, 6);
  change?.(unsigned);
  return Buffer.concat([unsigned, createHmac('sha256', key).update(unsigned).digest()]);
}

function reasonOf(bytes: Uint8Array, keys: KeysOf = keysOf): string {
  const result = openReport(bytes, keys);
  return isRejection(result) ? result.rejected : 'accepted';
}

/** The reason for content that is signed as it must be. */
function reasonOfFigures(figures: string): string {
  return reasonOf(signed(`{"backends":[{"backend":"web/b1","figures":${figures}}]}`));
}

describe('a signed report', () => {
  it('is opened as what it was', () => {
    expect(openReport(signReport(REPORT, KEY), keysOf)).toEqual(REPORT);
    expect(signReport(REPORT, KEY).length).toBe(reportBytes('b1', REPORT.backends));
  });

  it('is opened wherever it lies in a larger buffer', () => {
    const bytes = signReport(REPORT, KEY);
    const around = Buffer.concat([Buffer.alloc(13, 0xa5), bytes, Buffer.alloc(9, 0xa5)]);
    expect(openReport(around.subarray(13, 13 + bytes.length), keysOf)).toEqual(REPORT);
  });

  it('has the bytes that the reference names', () => {
    const bytes = signReport({ ...REPORT, sequence: 0x1_0000_0002, wallClockMs: 5 }, KEY);
    expect(bytes.toString('hex', 0, 6)).toBe('574c52010200');
    expect(bytes.toString('hex', 8, 34)).toBe(
      '0123456789abcdef' + '0000000100000002' + '0000000000000005' + '6231',
    );
    const length = bytes.readUInt16BE(6);
    expect(JSON.parse(bytes.toString('utf8', 34, 34 + length))).toEqual({
      backends: REPORT.backends,
    });
    const mac = createHmac('sha256', KEY).update(bytes.subarray(0, -32)).digest();
    expect(bytes.subarray(-32)).toEqual(mac);
  });

  it('is accepted with either of two keys while they are changed, and with no third', () => {
    const third = Buffer.alloc(32, 9);
    const keys = (...list: Buffer[]) => ({ keysOf: () => list });
    const bytes = signReport(REPORT, OTHER_KEY);
    expect(reasonOf(bytes, keys(KEY, OTHER_KEY).keysOf)).toBe('accepted');
    expect(reasonOf(bytes, keys(OTHER_KEY, KEY).keysOf)).toBe('accepted');
    expect(reasonOf(bytes, keys(KEY, third, OTHER_KEY).keysOf)).toBe('wrong-key');
    expect(reasonOf(signed('{}', undefined, Buffer.alloc(3)), () => [Buffer.alloc(3)])).toBe(
      'wrong-key',
    );
  });

  it('cannot be made of what could not be opened', () => {
    expect(() => signReport(REPORT, Buffer.alloc(15))).toThrow(RangeError);
    expect(() => signReport({ ...REPORT, agent: 'größe' }, KEY)).toThrow(RangeError);
    expect(() => signReport({ ...REPORT, agent: '' }, KEY)).toThrow(RangeError);
    expect(() => signReport({ ...REPORT, bootId: '0123' }, KEY)).toThrow(RangeError);
    expect(() => signReport({ ...REPORT, sequence: 2 ** 53 }, KEY)).toThrow(RangeError);
    const reason = 'x'.repeat(MAX_REPORT_BYTES);
    const backends = [{ backend: 'web/b1', figures: {}, wish: { reason } }];
    expect(() => signReport({ ...REPORT, backends }, KEY)).toThrow(RangeError);
  });
});

describe('a report is refused', () => {
  const bytes = () => signReport(REPORT, KEY);
  const changed = (offset: number, value: number) => {
    const copy = bytes();
    copy[offset] = value;
    return copy;
  };

  it('as too large, before anything else', () => {
    expect(reasonOf(Buffer.alloc(MAX_REPORT_BYTES + 1, 0x57))).toBe('too-large');
    expect(reasonOf(Buffer.alloc(10 * 1024 * 1024))).toBe('too-large');
    expect(reasonOf(Buffer.alloc(MAX_REPORT_BYTES))).toBe('malformed');
  });

  it('as malformed when the envelope is none', () => {
    expect(reasonOf(Buffer.alloc(0))).toBe('malformed');
    expect(reasonOf(changed(0, 0x58))).toBe('malformed');
    expect(reasonOf(changed(4, 0))).toBe('malformed');
    expect(reasonOf(changed(4, 200))).toBe('malformed');
    expect(reasonOf(changed(5, 1))).toBe('malformed');
    expect(reasonOf(changed(7, 0))).toBe('malformed');
    expect(reasonOf(changed(16, 0x20))).toBe('malformed');
    expect(reasonOf(changed(24, 0x20))).toBe('malformed');
    expect(reasonOf(changed(32, 0x0a))).toBe('malformed');
    expect(reasonOf(bytes().subarray(0, -1))).toBe('malformed');
    expect(reasonOf(Buffer.concat([bytes(), Buffer.of(0)]))).toBe('malformed');
  });

  it('for its version, its agent, its key', () => {
    expect(reasonOf(changed(3, 2))).toBe('unknown-version');
    expect(reasonOf(bytes(), () => undefined)).toBe('unknown-agent');
    expect(reasonOf(bytes(), () => [OTHER_KEY])).toBe('wrong-key');
    expect(reasonOf(bytes(), () => [])).toBe('wrong-key');
  });

  it('when any one byte was changed', () => {
    const length = bytes().length;
    for (let offset = 0; offset < length; offset++) {
      expect(reasonOf(changed(offset, bytes()[offset] ^ 0x01)), `byte ${offset}`).not.toBe(
        'accepted',
      );
    }
  });

  it('without a look at its content when the key is wrong', () => {
    const poison = '{"backends":[{"backend":"web/b1","figures":{"clients":-1}}]}';
    expect(reasonOf(signed(poison))).toBe('negative');
    expect(reasonOf(signed(poison, undefined, OTHER_KEY))).toBe('wrong-key');
    expect(reasonOf(signed('no JSON', undefined, OTHER_KEY))).toBe('wrong-key');
  });

  it('as malformed when the content is not one', () => {
    const entry = '{"backend":"web/b1","figures":{}}';
    for (const content of [
      '',
      'null',
      '[]',
      '{}',
      '{"backends":{}}',
      '{"backends":[]}',
      '{"backends":[null]}',
      '{"backends":[{"figures":{}}]}',
      '{"backends":[{"backend":"web","figures":{}}]}',
      '{"backends":[{"backend":"web/b1"}]}',
      '{"backends":[{"backend":"web/b1","figures":[]}]}',
      `{"backends":[${entry},${entry}]}`,
      '{"backends":[{"backend":"web/b1","figures":{},"wish":null}]}',
      '['.repeat(4000),
    ]) {
      expect(reasonOf(signed(content)), content.slice(0, 60)).toBe('malformed');
    }
    expect(reasonOf(signed(Buffer.alloc(200, 0xff)))).toBe('malformed');
    expect(reasonOf(signed(`{"backends":[${entry}]}`))).toBe('accepted');
  });

  it('for figures that are none', () => {
    expect(reasonOfFigures('{"clients":1e999}')).toBe('not-a-number');
    expect(reasonOfFigures('{"clients":"5"}')).toBe('not-a-number');
    expect(reasonOfFigures('{"clients":null}')).toBe('not-a-number');
    expect(reasonOfFigures('{"clients":NaN}')).toBe('malformed');
    expect(reasonOfFigures('{"clients":-0.001}')).toBe('negative');
    expect(reasonOfFigures('{"clients":1e308}')).toBe('out-of-range');
    expect(reasonOfFigures('{"memoryUtilization":1.01}')).toBe('out-of-range');
    expect(reasonOfFigures('{"memoryUtilization":1,"notYetKnown":-5}')).toBe('accepted');
  });

  it('for too many backends', () => {
    const entries = Array.from(
      { length: MAX_REPORT_BACKENDS + 1 },
      (_, i) => `{"backend":"web/b${i}","figures":{}}`,
    );
    expect(reasonOf(signed(`{"backends":[${entries}]}`))).toBe('too-many');
    expect(reasonOf(signed(`{"backends":[${entries.slice(1)}]}`))).toBe('accepted');
  });

  it('with the agent named as soon as it is known, and in words without control characters', () => {
    expect(openReport(bytes(), () => undefined)).toMatchObject({ agent: 'b1' });
    expect(openReport(signed('{}'), keysOf)).toMatchObject({ agent: 'b1' });
    expect(openReport(Buffer.alloc(3), keysOf)).not.toHaveProperty('agent');
    const text = String.raw`{"backends":[{"backend":"web/b1","figures":{"clients":"\u001b[2J\n"}}]}`;
    const result = openReport(signed(text), keysOf);
    expect(result).toMatchObject({ detail: "web/b1: clients is the text '·[2J·'" });
  });
});

describe('bytes from anywhere', () => {
  const COUNT = 1_000_000;

  it(`${COUNT} random and mutated datagrams are refused, with a reason of the list`, () => {
    const seed = Number(process.env.FUZZ_SEED ?? randomBytes(4).readInt32LE());
    const random = new Prng(seed);
    const good = signReport(REPORT, KEY);
    const buffer = Buffer.alloc(MAX_REPORT_BYTES + 64);
    const seen = new Map<string, number>();
    for (let i = 0; i < COUNT; i++) {
      const bytes = i % 2 === 0 ? noise(random, buffer) : mutated(random, good, buffer);
      const reason = bytes.equals(good) ? 'unchanged' : reasonOf(bytes);
      seen.set(reason, (seen.get(reason) ?? 0) + 1);
    }
    seen.delete('unchanged');
    const unexpected = [...seen.keys()].filter(
      (reason) => !(REJECTION_REASONS as readonly string[]).includes(reason),
    );
    expect(unexpected, `seed ${seed}`).toEqual([]);
    // The mutations reach every step before the signature.
    for (const reason of ['malformed', 'unknown-version', 'unknown-agent', 'wrong-key']) {
      expect(seen.get(reason), `${reason}, seed ${seed}`).toBeGreaterThan(10);
    }
  });

  it('signed content that is mutated is a report with good figures or is refused', () => {
    const seed = Number(process.env.FUZZ_SEED ?? randomBytes(4).readInt32LE());
    const random = new Prng(seed);
    const content = Buffer.from(JSON.stringify({ backends: REPORT.backends }));
    const buffer = Buffer.alloc(MAX_REPORT_BYTES);
    let accepted = 0;
    for (let i = 0; i < 20_000; i++) {
      const result = openReport(signed(mutated(random, content, buffer)), keysOf);
      if (isRejection(result)) continue;
      accepted++;
      for (const { figures } of result.backends) {
        for (const value of Object.values(figures)) {
          expect(Number.isFinite(value) && value >= 0, `seed ${seed}`).toBe(true);
        }
      }
    }
    expect(accepted).toBeGreaterThan(100);
  });
});

function noise(random: Prng, buffer: Buffer): Buffer {
  const length = random.below(4) === 0 ? random.below(MAX_REPORT_BYTES + 64) : random.below(200);
  for (let at = 0; at + 4 <= length; at += 4) buffer.writeInt32LE(random.next(), at);
  if (random.below(2) === 0) buffer.write('WLR\u0001', 0, 'latin1');
  return buffer.subarray(0, length);
}

function mutated(random: Prng, good: Buffer, buffer: Buffer): Buffer {
  good.copy(buffer);
  let length = good.length;
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const choice = random.below(5);
    const at = random.below(random.below(2) === 0 ? Math.min(40, length) : length);
    if (choice === 0) length = Math.max(1, random.below(length + 1));
    else if (choice === 1) buffer[at] ^= 1 << random.below(8);
    else if (choice === 2) buffer[at] = random.below(256);
    else if (choice === 3) buffer.copyWithin(at, random.below(length), length);
    else buffer[at] = '0123456789-eE.,"{}[]:'.charCodeAt(random.below(21));
  }
  return buffer.subarray(0, length);
}
