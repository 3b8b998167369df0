import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bencoded, decode, type Encodable, encode } from './bencode.ts';

const text = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)),
});
const value = fc.letrec<{ value: Encodable }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.maxSafeInteger().filter((n) => Math.abs(n) < 1e15 && !Object.is(n, -0)),
    text,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(text, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

/** As it should be decoded: dictionaries are maps. */
function decoded(encodable: Encodable): Bencoded {
  if (typeof encodable === 'number' || typeof encodable === 'string') return encodable;
  if (Array.isArray(encodable)) return encodable.map(decoded);
  const entries = Object.entries(encodable as Record<string, Encodable>);
  return new Map(entries.map(([key, each]) => [key, decoded(each)]));
}

function depthOf(encodable: Encodable | undefined): number {
  if (typeof encodable !== 'object') return 0;
  return 1 + Math.max(0, ...Object.values(encodable).map(depthOf));
}

describe('bencode', () => {
  it.each([
    ['i42e', 42],
    ['i-7e', -7],
    ['i0e', 0],
    ['4:spam', 'spam'],
    ['0:', ''],
    ['l4:spami1ee', ['spam', 1]],
    ['de', new Map()],
    [
      'd3:bar4:spam3:fooi42ee',
      new Map<string, Bencoded>([
        ['bar', 'spam'],
        ['foo', 42],
      ]),
    ],
    [
      'd1:bi1e1:ai2ee',
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
    ],
  ])('reads %s', (bytes, wanted) => {
    expect(decode(Buffer.from(bytes, 'latin1'))).toEqual(wanted);
  });

  it.each([
    ['nothing', ''],
    ['a number without end', 'i42'],
    ['a number without digits', 'ie'],
    ['no number', 'i4x2e'],
    ['a number that no double holds', 'i9999999999999999e'],
    ['a string that is longer than there is', '5:spam'],
    ['a string of negative length', '-1:a'],
    ['a length of many digits', '00000000000000000000001:a'],
    ['a list without end', 'l4:spam'],
    ['a key that is no string', 'di1e1:ae'],
    ['a key without value', 'd1:ae'],
    ['something behind', 'i1ei2e'],
    ['depths', `${'l'.repeat(100)}${'e'.repeat(100)}`],
    ['depths without end', 'l'.repeat(60_000)],
  ])('does not read %s', (_, bytes) => {
    expect(decode(Buffer.from(bytes, 'latin1'))).toBeUndefined();
  });

  it('writes keys in order, and leaves out what is undefined', () => {
    expect(encode({ result: 'ok', calls: [1, 'a'], nothing: undefined })).toBe(
      'd5:callsli1e1:ae6:result2:oke',
    );
  });

  it('reads whatever it has written, byte for byte', () => {
    fc.assert(
      fc.property(value, (each) => {
        fc.pre(depthOf(each) < 16);
        expect(decode(Buffer.from(encode(each), 'latin1'))).toEqual(decoded(each));
      }),
    );
  });

  it('reads any bytes or does not, and never fails', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decode(Buffer.from(bytes));
      }),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(
        value,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        (each, at) => {
          const bytes = Buffer.from(encode(each), 'latin1');
          for (const [index, byte] of at) bytes[index % bytes.length] = byte;
          decode(bytes);
        },
      ),
      { numRuns: 5000 },
    );
  });
});
